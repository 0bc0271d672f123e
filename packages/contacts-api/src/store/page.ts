import { type RawBuilder, sql } from 'kysely';
import type { Organization } from '../access-token.ts';

/** The end of a page: the last item's value of the sorted column, and its id. */
export interface Position {
  readonly value: string;
  readonly id: string;
}

export interface PageRequest {
  readonly limit: number;
  readonly after?: Position | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: Position | undefined;
}

type SortColumn = 'search_text' | 'created_at' | 'updated_at';

/** A column and a direction. Rows with the same value are in the order of their ids. */
export interface Order {
  readonly column: SortColumn;
  readonly direction: 'asc' | 'desc';
}

/** Returns the rows of an organization that follow a position, as a part of a statement. */
export function nextRows(
  organization: Organization,
  order: Order,
  after: Position | undefined,
): RawBuilder<unknown> {
  return sql`
    from contacts where organisation = ${organization} ${rowsAfter(order, after)} ${inOrder(order)}`;
}

export function rowsAfter(
  { column, direction }: Order,
  after: Position | undefined,
): RawBuilder<unknown> {
  if (!after) return sql``;
  const comparison = sql.raw(direction === 'asc' ? '>' : '<');
  return sql`and (${sql.ref(column)}, id) ${comparison} (${after.value}, ${after.id})`;
}

export function inOrder({ column, direction }: Order): RawBuilder<unknown> {
  return sql`order by ${sql.ref(column)} ${sql.raw(direction)}, id ${sql.raw(direction)}`;
}
