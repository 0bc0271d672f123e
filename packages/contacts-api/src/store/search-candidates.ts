import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Organization } from '../access-token.ts';
import { inOrder, nextRows, type Order, type Position } from './page.ts';
import { CONTACT_COLUMNS, FILE_BLOCK, POSTGRES_BLOCK, type Tables } from './schema.ts';

/** Texts of the term that are looked up. Rows are always compared with the whole term. */
const MAX_GRAMS = 4;
/** No text is in a later block. */
const LAST_BLOCK = 0x10ffc0;
/** The block after another one. Surrogates are in no text, and no character begins there. */
const NEXT_BLOCK = sql`case when block < 4096 then block + 1
  when block = ${sql.lit(0xd7c0)} then ${sql.lit(0xe000)} else block + 64 end`;

export const COLUMNS = sql.join(CONTACT_COLUMNS.map((column) => sql.ref(column)));

export interface IndexedSearch {
  readonly organization: Organization;
  /** Not empty, and in the form of `searchText`. */
  readonly term: string;
  readonly order: Order;
}

/**
 * Lists the blocks of an organization's rows after a position, in the order of the list by name. Each
 * is found from the one before, in the index of the list.
 */
export async function listBlocks(
  database: Kysely<Tables>,
  { organization, order }: Omit<IndexedSearch, 'term'>,
  { after, max, isFile }: { after: Position | undefined; max: number; isFile: boolean },
): Promise<number[]> {
  const block = sql.raw(isFile ? FILE_BLOCK : POSTGRES_BLOCK);
  const character = sql.raw(isFile ? 'char' : 'chr');
  const [exists, follows] =
    order.direction === 'asc'
      ? [sql`block < ${sql.lit(LAST_BLOCK)}`, sql`search_text >= ${character}(${NEXT_BLOCK})`]
      : [sql`block > 0`, sql`search_text < ${character}(block)`];
  const { rows } = await sql<{ block: number }>`
    with recursive blocks(block) as (
      select * from (select ${block} ${nextRows(organization, order, after)} limit 1) as first
      union all
      select (
        select ${block} from contacts where organisation = ${organization} and ${follows}
        ${inOrder(order)} limit 1
      ) from blocks where ${exists}
    )
    select block from blocks where block is not null limit ${max}`.execute(database);
  return rows.map((row) => row.block);
}

/**
 * Returns a query for the rows that the index names in these blocks, one more than `max` when they are
 * too many. It has the place of the block, and the number of the row in a file, or on PostgreSQL, which
 * reads the row anyway, the columns that are compared and sorted.
 */
export async function indexEntries(
  database: Kysely<Tables>,
  { organization, term, order }: IndexedSearch,
  { blocks, max, isFile }: { blocks: readonly number[]; max: number; isFile: boolean },
): Promise<RawBuilder<unknown>> {
  const grams = gramsOf(term);
  if (!isFile) {
    const columns = new Set(['id', 'organisation', 'search_text', order.column]);
    return sql`
      select place - 1 as place, ${sql.join([...columns].map((column) => sql.ref(column)))} from (
        select place,
          array_agg(hashtextextended(gram, hashtextextended(${organization}, block))) as entries
        from unnest(${blocks}::bigint[]) with ordinality as blocks(block, place),
          unnest(${grams}::text[]) as gram
        group by place order by place
      ) as wanted cross join contacts
      where search_entries(organisation, search_text) @> entries limit ${max + 1}`;
  }
  const { rows } = await sql<{ number: number }>`
    select number from organizations where organisation = ${organization}`.execute(database);
  const texts = grams.map((gram) => `${rows[0]?.number ?? 0}x${Buffer.from(gram).toString('hex')}`);
  const wanted = blocks.map((block) => texts.map((text) => `${text}x${block}`).join(' AND '));
  return sql`
    select wanted.key as place, search_entries.rowid as number
    from json_each(${JSON.stringify(wanted)}) as wanted cross join search_entries
    where search_entries match wanted.value limit ${max + 1}`;
}

/** Returns some of the texts of up to three characters that a row with the term contains. */
function gramsOf(term: string): string[] {
  const characters = [...term];
  const size = Math.min(3, characters.length);
  const grams = new Set<string>();
  for (let start = 0; start + size <= characters.length; start += 1) {
    grams.add(characters.slice(start, start + size).join(''));
  }
  return someOf([...grams], MAX_GRAMS);
}

/** Returns at most `count` of the values, from all parts of the list. */
function someOf(values: readonly string[], count: number): string[] {
  const step = Math.max(1, values.length / count);
  return values.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}
