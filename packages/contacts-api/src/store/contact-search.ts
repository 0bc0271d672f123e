import { setImmediate } from 'node:timers/promises';
import { type Kysely, type RawBuilder, SqliteAdapter, sql, type Transaction } from 'kysely';
import type { Organization } from '../caller.ts';
import { storeCall } from './database.ts';
import type { Order, PageRequest, Position } from './page.ts';
import type { ContactRow, Tables } from './schema.ts';
import { COLUMNS, fileCandidates, postgresCandidates } from './search-candidates.ts';

/** A search of one organization. `term` is not empty, and in the form of `searchText`. */
export interface SearchRequest extends PageRequest {
  readonly term: string;
  readonly order: Order;
  /** The caller. A second search of the same caller waits for the first. */
  readonly subject: string;
}

/** Rows that match, and one more than the limit when another page follows. */
export interface Found {
  readonly rows: readonly ContactRow[];
  /** The last row that was compared, when the time was up before the page was full. */
  readonly end: Position | undefined;
}

type Search = SearchRequest & { readonly organization: Organization };

/** Bounds of the work of a search. */
const BOUNDS = {
  timeLimitMs: 1000,
  /** Characters of the term times rows that one statement compares with it. */
  sliceCharacters: 100_000,
  minSliceRows: 500,
  /** The first slice often fills the page, or shows that the index is the shorter way. */
  firstSliceRows: 1000,
  maxSliceRows: 5000,
  /** Rows that the index may name. With more, reading on in order finds a page sooner. */
  maxCandidates: 2000,
};

/** Settings with which PostgreSQL reads in the order of an index: it would sort all rows of a new table. */
const READS_IN_ORDER = { enable_seqscan: 'off', enable_bitmapscan: 'off', jit: 'off' };
/** Settings with which it reads the index of texts alone. */
const READS_BY_TEXT = {
  enable_seqscan: 'off',
  enable_indexscan: 'off',
  enable_indexonlyscan: 'off',
  jit: 'off',
};

/**
 * Finds contacts by a part of their search text, in the order of the list, with bounded work.
 *
 * Rows are read in slices. A term that many rows contain fills its page from the first. When it does
 * not, the index names the rows that may match. Where these are too many, more slices are read, until
 * the page is full or the time is up. Then the page is short, and the next one goes on from there.
 */
export class ContactSearch {
  readonly #database: Kysely<Tables>;
  readonly #bounds: typeof BOUNDS;
  readonly #turns = new Turns();

  constructor(database: Kysely<Tables>, bounds: Partial<typeof BOUNDS> = {}) {
    this.#database = database;
    this.#bounds = { ...BOUNDS, ...bounds };
  }

  get #isFile(): boolean {
    return this.#database.getExecutor().adapter instanceof SqliteAdapter;
  }

  /** Slices that are read at once. On PostgreSQL they are several round trips, but not in this thread. */
  get #slices(): number {
    return this.#isFile ? 1 : 4;
  }

  find(search: Search): Promise<Found> {
    const { organization, subject, limit } = search;
    const deadline = performance.now() + this.#bounds.timeLimitMs;
    return this.#turns.take(`${subject}\n${organization}`, async () => {
      const { firstSliceRows } = this.#bounds;
      let { rows, end } = await this.#readSlice(search, search.after, limit + 1, firstSliceRows);
      // When many of the first rows match, the next ones soon have enough, without the index.
      if (end && rows.length * this.#slices > limit) {
        const more = await this.#readSlice(search, end, limit + 1 - rows.length);
        rows = [...rows, ...more.rows];
        end = more.end;
      }
      if (!end) return { rows, end };
      const rest = await this.#findByIndex({ ...search, after: end }, limit + 1 - rows.length);
      if (rest) return { rows: [...rows, ...rest], end: undefined };
      // One long search at a time, so that they leave time for all other requests.
      const found = { rows, end };
      return this.#turns.take('', () => this.#readOn(search, found, deadline));
    });
  }

  async #readOn(search: Search, found: Found, deadline: number): Promise<Found> {
    const rows = [...found.rows];
    let { end } = found;
    do {
      // On a file the statements run in this thread.
      await setImmediate();
      const enough = search.limit + 1 - rows.length;
      const slice = await this.#readSlice(search, end, enough);
      rows.push(...slice.rows);
      end = slice.end;
    } while (end && performance.now() < deadline);
    return { rows, end };
  }

  /**
   * Compares the next rows of the organization with the term.
   *
   * @returns `end`, the last row of the slice, unless `rows` are enough or no row follows
   */
  async #readSlice(
    { organization, term, order }: Search,
    after: Position | undefined,
    enough: number,
    maxRows = this.#slices * this.#bounds.maxSliceRows,
  ): Promise<Found> {
    const { sliceCharacters, minSliceRows } = this.#bounds;
    const size = Math.max(minSliceRows, Math.floor(sliceCharacters / term.length));
    const rowCount = Math.min(maxRows, this.#slices * size);
    return this.#read(READS_IN_ORDER, async (database) => {
      const next = sql`
        from contacts where organisation = ${organization} ${rowsAfter(order, after)} ${inOrder(order)}`;
      // The inner statements read an index alone when the order is by name. A limit ends the slice: a
      // comparison with its last row would go on through all rows of the same name on PostgreSQL. Both
      // engines read the slice in its order, and no further than needed.
      const { rows } = await sql<ContactRow>`
        select ${COLUMNS} from contacts where id in (
          select id from (select id, search_text ${next} limit ${rowCount}) as slice
          where ${this.#contains(term)} limit ${enough}
        ) ${inOrder(order)}`.execute(database);
      if (rows.length === enough) return { rows, end: undefined };
      const ends = await sql<Position>`
        select ${sql.ref(order.column)} as value, id ${next} limit 1 offset ${rowCount - 1}`.execute(
        database,
      );
      return { rows, end: ends.rows[0] };
    });
  }

  /** @returns undefined when too many rows may match */
  #findByIndex(search: Search, enough: number): Promise<ContactRow[] | undefined> {
    return this.#read(READS_BY_TEXT, async (database) => {
      const { organization, term, order, after } = search;
      const { maxCandidates } = this.#bounds;
      const candidates = this.#isFile
        ? await fileCandidates(database, organization, term, maxCandidates)
        : postgresCandidates(organization, term, maxCandidates);
      if (!candidates) return undefined;
      const { rows } = await sql<ContactRow & { candidates: number | string }>`
        with candidates as materialized (${candidates}),
        total as (select count(*) as candidates from candidates),
        matches as (
          select * from candidates
          where organisation = ${organization} ${rowsAfter(order, after)} and ${this.#contains(term)}
          ${inOrder(order)} limit ${enough}
        )
        select total.candidates, matches.* from total left join matches on true
        ${inOrder(order)}`.execute(database);
      if (Number(rows[0]?.candidates) > maxCandidates) return undefined;
      return rows.filter(({ id }) => id !== null).map(({ candidates: _, ...row }) => row);
    });
  }

  // LIKE compares the term with each place of a text, and tries again at each "%": its cost is the
  // product of both lengths.
  #contains(term: string): RawBuilder<boolean> {
    return this.#isFile
      ? sql<boolean>`instr(search_text, ${term}) > 0`
      : sql<boolean>`position(${term} in search_text) > 0`;
  }

  /** Reads with a time limit. On PostgreSQL the settings guide the planner, without statistics. */
  #read<T>(
    settings: Record<string, string>,
    work: (database: Kysely<Tables>) => Promise<T>,
  ): Promise<T> {
    if (this.#isFile) return storeCall(work(this.#database));
    const all = Object.entries({
      statement_timeout: String(this.#bounds.timeLimitMs),
      ...settings,
    });
    const calls = all.map(([name, value]) => sql`set_config(${name}, ${value}, true)`);
    return storeCall(
      this.#database.transaction().execute(async (transaction: Transaction<Tables>) => {
        await sql`select ${sql.join(calls)}`.execute(transaction);
        return work(transaction);
      }),
    );
  }
}

function rowsAfter({ column, direction }: Order, after: Position | undefined): RawBuilder<unknown> {
  if (!after) return sql``;
  const comparison = sql.raw(direction === 'asc' ? '>' : '<');
  return sql`and (${sql.ref(column)}, id) ${comparison} (${after.value}, ${after.id})`;
}

function inOrder({ column, direction }: Order): RawBuilder<unknown> {
  return sql`order by ${sql.ref(column)} ${sql.raw(direction)}, id ${sql.raw(direction)}`;
}

/** Runs work with the same key one after the other. */
class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const result = before ? before.then(work, work) : work();
    this.#last.set(key, result);
    try {
      return await result;
    } finally {
      if (this.#last.get(key) === result) this.#last.delete(key);
    }
  }
}
