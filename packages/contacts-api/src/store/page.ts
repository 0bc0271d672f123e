import type { ContactSort } from '../contact.ts';

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

const SORT_COLUMNS = {
  name: 'search_text',
  created_at: 'created_at',
  updated_at: 'updated_at',
} as const;

export type SortColumn = (typeof SORT_COLUMNS)[keyof typeof SORT_COLUMNS];

/** A column and a direction. Rows with the same value are in the order of their ids. */
export interface Order {
  readonly column: SortColumn;
  readonly direction: 'asc' | 'desc';
}

export function orderOf(sort: ContactSort): Order {
  return {
    column: SORT_COLUMNS[sort.replace('-', '') as keyof typeof SORT_COLUMNS],
    direction: sort.startsWith('-') ? 'desc' : 'asc',
  };
}

/** Makes a page of the rows that were read. An extra row shows that another page follows. */
export function toPage<Column extends string, Row extends Record<Column | 'id', string>>(
  rows: readonly Row[],
  limit: number,
  column: Column,
): Page<Row> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return {
    items,
    next: rows.length > limit && last ? { value: last[column], id: last.id } : undefined,
  };
}
