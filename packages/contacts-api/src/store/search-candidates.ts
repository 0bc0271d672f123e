import { setImmediate } from 'node:timers/promises';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Organization } from '../access-token.ts';
import type { Order } from './page.ts';
import { CONTACT_COLUMNS, type Tables } from './schema.ts';

/** Texts of the term that are looked up. Rows are always compared with the whole term. */
const MAX_GRAMS = 24;
const FEW_CANDIDATES = 200;
/** Maximum of rows with a text that are counted. A text in more rows is frequent. */
const MAX_COUNTED = 1000;
/** Frequent texts are looked up together, on a file in steps of the rarest, unless it is too frequent. */
const MAX_JOINED = 3;
const MAX_SPAN_RATIO = 16;
const STEP_ROWS = 5000;
const MAX_STEPS = 5;

export const COLUMNS = sql.join(CONTACT_COLUMNS.map((column) => sql.ref(column)));

interface IndexedSearch {
  readonly organization: Organization;
  readonly term: string;
  readonly order: Order;
}

/**
 * Returns a query for the id and the order of the rows that the index names, and of one more than
 * `max` when they are too many.
 */
export function postgresCandidates(
  { organization, term, order }: IndexedSearch,
  max: number,
): RawBuilder<unknown> {
  return sql`
    select ${columnsOf(order)} from contacts
    where contact_grams(organisation, search_text) @> (
      select array_agg(hashtextextended(gram, hashtextextended(${organization}, 0)))
      from unnest(${gramsOf(term)}::text[]) as gram
    )
    limit ${max + 1}`;
}

/**
 * Looks for a rare text of the term, then for rows with several of its frequent texts.
 *
 * @returns undefined when more than `max` rows may match
 */
export async function fileCandidates(
  database: Kysely<Tables>,
  { organization, term, order }: IndexedSearch,
  max: number,
): Promise<RawBuilder<unknown> | undefined> {
  const { rows } = await sql<{ number: number }>`
    select number from organizations where organisation = ${organization}`.execute(database);
  const tokens = gramsOf(term).map(
    (gram) => `${rows[0]?.number ?? 0}x${Buffer.from(gram).toString('hex')}`,
  );
  const found: { token: string; place: number; count: number; span: number }[] = [];
  for (const [place, token] of tokens.entries()) {
    const counted = await sql<{ count: number; span: number | null }>`
      select count(*) as count, max(rowid) - min(rowid) as span from (
        select rowid from contact_grams where contact_grams match ${token}
        order by rowid limit ${MAX_COUNTED + 1}
      )`.execute(database);
    const { count = 0, span = 0 } = counted.rows[0] ?? {};
    found.push({ token, place, count, span: span ?? 0 });
    if (count <= FEW_CANDIDATES) break;
  }
  // The first rows of a rarer text are farther apart.
  found.sort((a, b) => a.count - b.count || b.span - a.span);
  const [rarest] = found;
  if (!rarest) return undefined;
  const joined: typeof found = [];
  for (const each of found) {
    const isMuchMoreFrequent = each.span * MAX_SPAN_RATIO < rarest.span;
    // The text at the next place is in nearly the same rows.
    const isNeighbor = joined.some(({ place }) => Math.abs(place - each.place) < 2);
    if (joined.length < MAX_JOINED && !isMuchMoreFrequent && !isNeighbor) joined.push(each);
  }
  const numbers =
    rarest.count <= MAX_COUNTED
      ? sql`select rowid as found from contact_grams where contact_grams match ${rarest.token}`
      : await numbersWithAll(database, joined, max);
  return (
    numbers &&
    sql`select ${columnsOf(order)} from (${numbers}) cross join contacts on contacts.number = found`
  );
}

function columnsOf({ column }: Order): RawBuilder<unknown> {
  const names = new Set(['id', 'organisation', 'search_text', column]);
  return sql.join([...names].map((name) => sql.ref(name)));
}

/** Reads the rows with all tokens in steps, because SQLite goes through the list of each. */
async function numbersWithAll(
  database: Kysely<Tables>,
  [rarest, ...others]: readonly { readonly token: string }[],
  max: number,
): Promise<RawBuilder<unknown> | undefined> {
  const all = [rarest, ...others].map((each) => each?.token).join(' AND ');
  const found: number[] = [];
  let last = 0;
  for (let steps = 0; steps < MAX_STEPS && found.length <= max; steps += 1) {
    await setImmediate();
    const step = await sql<{ end: number | null }>`
      select max(rowid) as end from (
        select rowid from contact_grams
        where contact_grams match ${rarest?.token} and rowid > ${last}
        order by rowid limit ${STEP_ROWS}
      )`.execute(database);
    const end = step.rows[0]?.end;
    if (!end) return sql`select value as found from json_each(${JSON.stringify(found)})`;
    const { rows } = await sql<{ rowid: number }>`
      select rowid from contact_grams where contact_grams match ${all}
      and rowid > ${last} and rowid <= ${end} limit ${max + 1}`.execute(database);
    found.push(...rows.map(({ rowid }) => rowid));
    last = end;
  }
  return undefined;
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
