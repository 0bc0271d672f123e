import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Organization } from '../access-token.ts';
import { inOrder, nextRows, type Order, type Position } from './page.ts';
import { CONTACT_COLUMNS, type ContactRow, isFile, type Tables } from './schema.ts';

export const COLUMNS = sql.join(CONTACT_COLUMNS.map((column) => sql.ref(column)));

export interface TermSearch {
  readonly organization: Organization;
  /** Not empty, and in the form of `searchText`. */
  readonly term: string;
  readonly order: Order;
  readonly after?: Position | undefined;
}

interface Slice {
  readonly matches: readonly ContactRow[];
  /** The last row of the slice, when the slice is full and has not enough matches. */
  readonly end: Position | undefined;
}

/**
 * Compares the next rows of the organization with the term.
 *
 * The inner statements read an index alone when the order is by name. A limit ends the slice: a
 * comparison with its last row would go on through all rows of the same name on PostgreSQL. Both
 * engines read the slice in its order, and no further than needed. It is one statement, because another
 * change could move the end.
 *
 * @param options.size rows of the slice
 * @param options.enough matches that are read at most
 */
export async function readSlice(
  database: Kysely<Tables>,
  { organization, term, order, after }: TermSearch,
  { size, enough }: { size: number; enough: number },
): Promise<Slice> {
  const next = nextRows(organization, order, after);
  const { rows } = await sql<ContactRow & { end_value: string | null; end_id: string }>`
    with matches as materialized (
      select match as id from (
        select case when ${contains(database, term)} then id end as match ${next} limit ${size}
      ) as slice
      where match is not null limit ${enough}
    )
    select ends.*, found.* from (select 1) as always
    left join (
      select ${sql.ref(order.column)} as end_value, id as end_id ${next}
      limit (select case when count(*) < ${enough} then 1 else 0 end from matches)
      offset ${size - 1}
    ) as ends on true
    left join (
      select ${COLUMNS} from contacts where id in (select id from matches)
    ) as found on true
    ${inOrder(order)}`.execute(database);
  const [first] = rows;
  const end =
    first && first.end_value !== null ? { value: first.end_value, id: first.end_id } : undefined;
  const matches = rows.flatMap(({ end_value: _, end_id: __, ...row }) =>
    row.id === null ? [] : [row],
  );
  return { matches, end };
}

/**
 * Returns the condition that the text of a row contains the term. LIKE would compare the term with each
 * place of a text, and try again at each "%": its cost is the product of both lengths.
 */
export function contains(database: Kysely<Tables>, term: string): RawBuilder<boolean> {
  return isFile(database)
    ? sql`instr(search_text, ${term}) > 0`
    : sql`position(${term} in search_text) > 0`;
}
