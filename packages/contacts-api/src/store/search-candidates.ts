import { type Kysely, type RawBuilder, sql } from 'kysely';
import { inOrder, nextRows, type Order, rowsAfter } from './page.ts';
import { blockOf, type ContactRow, isFile, type Tables } from './schema.ts';
import { COLUMNS, contains, type TermSearch } from './search-slice.ts';
import { MAX_SEARCH_TEXT_LENGTH } from './search-text.ts';

/** Texts of the term that are looked up. Rows are always compared with the whole term. */
const MAX_GRAMS = 4;
/** The same for pieces: the index reads all entries of a text in the block for each of them. */
const MAX_GRAMS_OF_PIECES = 2;
/** Characters of a text with which a part, and a piece of it, begins; see `search_entries`. */
const START_SIZES = { 1: 2, 2: 8 } as const;
/** A part with more pieces is not divided: each of them is looked up. */
const MAX_PIECES = 16;
/** No text is in a later block. */
const LAST_BLOCK = 0x10ffc0;
/** No search text is longer, so none of a part follows the part with this text. */
const LAST_TEXT = '\u{10ffff}'.repeat(MAX_SEARCH_TEXT_LENGTH);
/** The block after another one. Surrogates are in no text, and no character begins there. */
const nextBlockOf = (block: string) => `case when ${block} < 4096 then ${block} + 1
  when ${block} = ${0xd7c0} then ${0xe000} else ${block} + 64 end`;

/** Contacts that stand together in the list by name: a block of the index, a part of one, or a piece of a part. */
export interface Block {
  /** The code of its first character; see `blockOf`. */
  readonly number: number;
  /** 0 of a whole block, 1 of a part, 2 of a piece. */
  readonly depth: 0 | 1 | 2;
  /** Its first text in the order of the list. */
  readonly text: string;
}

/** Returns the first text that can be in a block, a part or a piece. */
export function startOf({ number, depth, text }: Block): string {
  if (depth !== 0) return [...text].slice(0, START_SIZES[depth]).join('');
  return number === 0 ? '' : String.fromCodePoint(number);
}

interface Blocks {
  readonly blocks: readonly Block[];
  /** The same with the pieces of the first part, on PostgreSQL and if they are few. */
  readonly divided: readonly Block[];
}

/**
 * Lists the blocks of an organization's rows after a position, in the order of the list by name, with
 * the parts of the first one and the pieces of its first part. The first text of each is looked up in
 * the index of the list, with the first text of the one before.
 */
export async function listBlocks(
  database: Kysely<Tables>,
  { organization, order, after }: TermSearch,
  { max, hasParts }: { max: number; hasParts: boolean },
): Promise<Blocks> {
  const inFile = isFile(database);
  const number = sql.raw(blockOf('text', inFile));
  const isDivided = sql`${number} = divided`;
  const part = sql`substr(text, 1, ${sql.lit(START_SIZES[1])})`;
  const [ofPart, ofPiece, ofBlock] = startsAfter(order, inFile);
  const mayFollow = sql.raw(order.direction === 'asc' ? `< ${LAST_BLOCK}` : '> 0');
  const first = sql`select search_text as text ${nextRows(organization, order, after)} limit 1`;
  const next = (start: RawBuilder<string>) => sql`
    select search_text from contacts where organisation = ${organization}
    and search_text ${sql.raw(order.direction === 'asc' ? '>=' : '<')} ${start}
    ${inOrder(order)} limit 1`;
  const andPieces =
    inFile || !hasParts
      ? sql``
      : sql`
      union all (
        with recursive pieces(text, part) as (
          select text, ${part} from (${first}) as first
          union all
          select (${next(ofPiece)}), part from pieces where ${part} = part
        )
        select ${number}, 2, text from pieces where ${part} = part limit ${MAX_PIECES + 1}
      )`;
  const { rows } = await sql<Block>`
    with recursive texts(text, divided) as (
      select text, ${hasParts ? number : sql.lit(-1)} from (${first}) as first
      union all
      select (${next(sql`case when ${isDivided} then ${ofPart} else ${ofBlock} end`)}), divided
      from texts where text is not null and (${isDivided} or ${number} ${mayFollow})
    )
    select * from (
      select ${number} as number, case when ${isDivided} then 1 else 0 end as depth, text
      from texts where text is not null limit ${max}
    ) as blocks
    ${andPieces}`.execute(database);
  const blocks = rows.filter(({ depth }) => depth !== 2);
  const pieces = rows.filter(({ depth }) => depth === 2);
  const areFew = pieces.length > 0 && pieces.length <= MAX_PIECES;
  return { blocks, divided: areFew ? [...pieces, ...blocks.slice(1)] : blocks };
}

/** Returns where the part, piece and block after those of `text` begin, or end in reverse. */
function startsAfter(
  { direction }: Order,
  inFile: boolean,
): [part: RawBuilder<string>, piece: RawBuilder<string>, block: RawBuilder<string>] {
  const character = sql.raw(inFile ? 'char' : 'chr');
  const block = blockOf('text', inFile);
  const start = (size: number) => sql<string>`substr(text, 1, ${sql.lit(size)})`;
  if (direction === 'desc') {
    return [start(START_SIZES[1]), start(START_SIZES[2]), sql`${character}(${sql.raw(block)})`];
  }
  // A text that is shorter than the start of others is a part of its own. NUL is in no text.
  const after = (size: number) => sql<string>`case when length(text) < ${sql.lit(size)}
    then text || ${character}(1) else ${start(size)} || ${LAST_TEXT} end`;
  const nextBlock = sql<string>`${character}(${sql.raw(nextBlockOf(block))})`;
  return [after(START_SIZES[1]), after(START_SIZES[2]), nextBlock];
}

interface Range {
  readonly blocks: readonly Block[];
  /** Rows that the index may name. */
  readonly max: number;
}

interface Candidates {
  readonly matches: readonly ContactRow[];
  /** The place of the block in which the index names more rows than the maximum. */
  readonly cutIn: number | undefined;
}

/**
 * Compares the rows that the index names in these blocks with the term. When they are too many, those of
 * the block in which they are cut are missing, and by date all.
 *
 * @param range.enough matches that are read at most
 */
export async function readCandidates(
  database: Kysely<Tables>,
  search: TermSearch,
  { enough, ...range }: Range & { enough: number },
): Promise<Candidates> {
  const { organization, term, order, after } = search;
  const isByName = order.column === 'search_text';
  const entries = await indexEntries(database, search, range);
  const { rows } = await sql<ContactRow & { count: number | string; last: number | string }>`
    with entries as materialized (${entries}),
    total as (select count(*) as count, max(place) as last from entries),
    matches as materialized (
      select id from total cross join entries
      ${isFile(database) ? sql`cross join contacts on contacts.number = entries.number` : sql``}
      where (count <= ${range.max} ${isByName ? sql`or place < last` : sql``})
      and organisation = ${organization} ${rowsAfter(order, after)} and ${contains(database, term)}
      ${inOrder(order)} limit ${enough}
    )
    select total.*, found.* from total
    left join (select ${COLUMNS} from contacts where id in (select id from matches)) as found on true
    ${inOrder(order)}`.execute(database);
  const [first] = rows;
  return {
    matches: rows.flatMap(({ count: _, last: __, ...row }) => (row.id === null ? [] : [row])),
    cutIn: Number(first?.count) > range.max ? Number(first?.last) : undefined,
  };
}

/**
 * Returns a query for the rows that the index names in these blocks, one more than `max` when they are
 * too many. It has the place of the block, and the number of the row in a file, or on PostgreSQL, which
 * reads the row anyway, the columns that are compared and sorted.
 */
async function indexEntries(
  database: Kysely<Tables>,
  { organization, term, order }: TermSearch,
  { blocks, max }: Range,
): Promise<RawBuilder<unknown>> {
  const grams = gramsOf(term, blocks[0]?.depth === 2 ? MAX_GRAMS_OF_PIECES : MAX_GRAMS);
  if (!isFile(database)) {
    const columns = new Set(['id', 'organisation', 'search_text', order.column]);
    const numbers = blocks.map((block) => block.number);
    const depths = blocks.map((block) => block.depth);
    const starts = blocks.map((block) => startOf(block));
    return sql`
      with wanted as materialized (
        select place, array_agg(hashtextextended(gram, hashtextextended(${organization}, number)))
          || case when depth > 0
            then array[hashtextextended(start, hashtextextended(${organization}, -depth))] end as entries
        from unnest(${numbers}::bigint[], ${depths}::int[], ${starts}::text[])
          with ordinality as blocks(number, depth, start, place),
          unnest(${grams}::text[]) as gram
        group by place, depth, start order by place
      )
      select place - 1 as place, ${sql.join([...columns].map((column) => sql.ref(column)))}
      from wanted cross join contacts
      where search_entries(organisation, search_text) @> entries limit ${max + 1}`;
  }
  const { rows } = await sql<{ number: number }>`
    select number from organizations where organisation = ${organization}`.execute(database);
  const owner = rows[0]?.number ?? 0;
  const wanted = blocks.map((block) => {
    const entries = grams.map((gram) => `${owner}x${hexOf(gram)}x${block.number}`);
    if (block.depth > 0) entries.push(`${owner}y${hexOf(startOf(block))}`);
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

/** Returns some of the texts of up to three characters that a row with the term contains. */
function gramsOf(term: string, max: number): string[] {
  const characters = [...term];
  const size = Math.min(3, characters.length);
  const grams = new Set<string>();
  for (let start = 0; start + size <= characters.length; start += 1) {
    grams.add(characters.slice(start, start + size).join(''));
  }
  return someOf([...grams], max);
}

/** Returns at most `count` of the values, from the first to the last one: a long term is often rare at its end. */
function someOf(values: readonly string[], count: number): string[] {
  if (values.length <= count) return [...values];
  const step = (values.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, index) => values[Math.round(index * step)] ?? '');
}
