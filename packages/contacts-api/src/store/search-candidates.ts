import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Organization } from '../access-token.ts';
import { inOrder, nextRows, type Order, type Position } from './page.ts';
import { blockOf, CONTACT_COLUMNS, type Tables } from './schema.ts';
import { MAX_SEARCH_TEXT_LENGTH } from './search-text.ts';

/** Texts of the term that are looked up. Rows are always compared with the whole term. */
const MAX_GRAMS = 4;
/** No text is in a later block. */
const LAST_BLOCK = 0x10ffc0;
/** No search text is longer, so none of a part follows the part with this text. */
const LAST_TEXT = '\u{10ffff}'.repeat(MAX_SEARCH_TEXT_LENGTH);
/** The block after another one. Surrogates are in no text, and no character begins there. */
const nextBlockOf = (block: string) => `case when ${block} < 4096 then ${block} + 1
  when ${block} = ${0xd7c0} then ${0xe000} else ${block} + 64 end`;

export const COLUMNS = sql.join(CONTACT_COLUMNS.map((column) => sql.ref(column)));

export interface IndexedSearch {
  readonly organization: Organization;
  /** Not empty, and in the form of `searchText`. */
  readonly term: string;
  readonly order: Order;
}

/** Contacts that stand together in the list by name: a block of the index, or a part of one. */
export interface Block {
  /** The code of its first character; see `blockOf`. */
  readonly number: number;
  /** The first two characters of the part, null of a whole block. */
  readonly part: string | null;
  /** Its first text in the order of the list. */
  readonly text: string;
}

/** Returns the first text that can be in a block, or in the part of one. */
export function startOf({ number, part }: Omit<Block, 'text'>): string {
  if (part !== null) return part;
  return number === 0 ? '' : String.fromCodePoint(number);
}

/**
 * Lists the blocks of an organization's rows after a position, in the order of the list by name. The
 * block of the position is divided: its parts are listed. The first text of each is looked up in the
 * index of the list, with the first text of the one before.
 */
export async function listBlocks(
  database: Kysely<Tables>,
  { organization, order }: Omit<IndexedSearch, 'term'>,
  { after, max, isFile }: { after: Position | undefined; max: number; isFile: boolean },
): Promise<readonly Block[]> {
  const character = sql.raw(isFile ? 'char' : 'chr');
  const number = blockOf('text', isFile);
  const isDivided = sql`${sql.raw(number)} = ${after ? numberOf(after.value) : -1}`;
  const nextBlock = sql`${character}(${sql.raw(nextBlockOf(number))})`;
  const [mayFollow, follows] =
    order.direction === 'asc'
      ? [
          sql`(${isDivided} or ${sql.raw(number)} < ${sql.lit(LAST_BLOCK)})`,
          // A text of one character is a part of its own. NUL is in no text.
          sql`search_text >= case
            when ${isDivided} and length(text) < 2 then text || ${character}(1)
            when ${isDivided} then substr(text, 1, 2) || ${LAST_TEXT}
            else ${nextBlock} end`,
        ]
      : [
          sql`${sql.raw(number)} > 0`,
          sql`search_text < case
            when ${isDivided} then substr(text, 1, 2) else ${character}(${sql.raw(number)}) end`,
        ];
  const { rows } = await sql<Block>`
    with recursive texts(text) as (
      select * from (select search_text ${nextRows(organization, order, after)} limit 1) as first
      union all
      select (
        select search_text from contacts where organisation = ${organization} and ${follows}
        ${inOrder(order)} limit 1
      ) from texts where text is not null and ${mayFollow}
    )
    select ${sql.raw(number)} as number, case when ${isDivided} then substr(text, 1, 2) end as part, text
    from texts where text is not null limit ${max}`.execute(database);
  return rows;
}

/**
 * Returns a query for the rows that the index names in these blocks, one more than `max` when they are
 * too many. It has the place of the block, and the number of the row in a file, or on PostgreSQL, which
 * reads the row anyway, the columns that are compared and sorted.
 */
export async function indexEntries(
  database: Kysely<Tables>,
  { organization, term, order }: IndexedSearch,
  { blocks, max, isFile }: { blocks: readonly Block[]; max: number; isFile: boolean },
): Promise<RawBuilder<unknown>> {
  const grams = gramsOf(term);
  if (!isFile) {
    const columns = new Set(['id', 'organisation', 'search_text', order.column]);
    const numbers = blocks.map((block) => block.number);
    const parts = blocks.map((block) => block.part);
    return sql`
      with wanted as materialized (
        select place, array_agg(hashtextextended(gram, hashtextextended(${organization}, number)))
          || array_remove(array[hashtextextended(part, hashtextextended(${organization}, -1))], null)
          as entries
        from unnest(${numbers}::bigint[], ${parts}::text[]) with ordinality as blocks(number, part, place),
          unnest(${grams}::text[]) as gram
        group by place, part order by place
      )
      select place - 1 as place, ${sql.join([...columns].map((column) => sql.ref(column)))}
      from wanted cross join contacts
      where search_entries(organisation, search_text) @> entries limit ${max + 1}`;
  }
  const { rows } = await sql<{ number: number }>`
    select number from organizations where organisation = ${organization}`.execute(database);
  const owner = rows[0]?.number ?? 0;
  const wanted = blocks.map(({ number, part }) => {
    const entries = grams.map((gram) => `${owner}x${hexOf(gram)}x${number}`);
    if (part !== null) entries.push(`${owner}y${hexOf(part)}`);
    return entries.join(' AND ');
  });
  return sql`
    select wanted.key as place, search_entries.rowid as number
    from json_each(${JSON.stringify(wanted)}) as wanted cross join search_entries
    where search_entries match wanted.value limit ${max + 1}`;
}

function hexOf(text: string): string {
  return Buffer.from(text).toString('hex');
}

/** Returns the number of the block of a text; see `blockOf`. */
function numberOf(text: string): number {
  const code = text.codePointAt(0) ?? 0;
  return code < 4096 ? code : code - (code % 64);
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

/** Returns at most `count` of the values, from the first to the last one: a long term is often rare at its end. */
function someOf(values: readonly string[], count: number): string[] {
  if (values.length <= count) return [...values];
  const step = (values.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, index) => values[Math.round(index * step)] ?? '');
}
