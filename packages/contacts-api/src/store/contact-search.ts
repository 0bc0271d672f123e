import { setImmediate } from 'node:timers/promises';
import { type Kysely, type RawBuilder, SqliteAdapter, sql, type Transaction } from 'kysely';
import type { Organization } from '../access-token.ts';
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
  sliceCharacters: 200_000,
  minSliceRows: 500,
  /** Reading so many rows in order takes no longer than asking the index. */
  maxSliceRows: 20_000,
  /** Rows that the index may name. With more, reading on in order finds a page sooner. */
  maxCandidates: 20_000,
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
 * A term that many rows contain fills its page from the first rows in order, the slice. When it does
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

  find(search: Search): Promise<Found> {
    const { organization, subject, limit } = search;
    const deadline = performance.now() + this.#bounds.timeLimitMs;
    return this.#turns.take(`${subject}\n${organization}`, async () => {
      const first = await this.#read(READS_IN_ORDER, (database) =>
        this.#matchesOfSlice(database, search, search.after, limit + 1),
      );
      if (first.length > limit) return { rows: first, end: undefined };
      const rows = await this.#findByIndex(search);
      if (rows) return { rows, end: undefined };
      // One long search at a time, so that they leave time for all other requests.
      return this.#turns.take('', () => this.#readOn(search, deadline));
    });
  }

  /** Reads slices until the page is full or the time is up. */
  async #readOn(search: Search, deadline: number): Promise<Found> {
    const rows: ContactRow[] = [];
    let end = search.after;
    do {
      // On a file the statements run in this thread.
      await setImmediate();
      const enough = search.limit + 1 - rows.length;
      const slice = await this.#read(READS_IN_ORDER, async (database) => {
        const matches = await this.#matchesOfSlice(database, search, end, enough);
        const isFull = matches.length === enough;
        return { matches, end: isFull ? undefined : await this.#endOfSlice(database, search, end) };
      });
      rows.push(...slice.matches);
      end = slice.end;
    } while (end && performance.now() < deadline);
    return { rows, end };
  }

  /**
   * Compares the next rows of the organization with the term.
   *
   * The inner statements read an index alone when the order is by name. A limit ends the slice: a
   * comparison with its last row would go on through all rows of the same name on PostgreSQL. Both
   * engines read the slice in its order, and no further than needed.
   */
  async #matchesOfSlice(
    database: Kysely<Tables>,
    search: Search,
    after: Position | undefined,
    enough: number,
  ): Promise<ContactRow[]> {
    const { term, order } = search;
    const { rows } = await sql<ContactRow>`
      select ${COLUMNS} from contacts where id in (
        select id from (
          select id, search_text ${nextRows(search, after)} limit ${this.#rowsOfSlice(term)}
        ) as slice
        where ${this.#contains(term)} limit ${enough}
      ) ${inOrder(order)}`.execute(database);
    return rows;
  }

  /** Returns the last row of a slice, unless no row follows. */
  async #endOfSlice(
    database: Kysely<Tables>,
    search: Search,
    after: Position | undefined,
  ): Promise<Position | undefined> {
    const { rows } = await sql<Position>`
      select ${sql.ref(search.order.column)} as value, id ${nextRows(search, after)}
      limit 1 offset ${this.#rowsOfSlice(search.term) - 1}`.execute(database);
    return rows[0];
  }

  #rowsOfSlice(term: string): number {
    const { sliceCharacters, minSliceRows, maxSliceRows } = this.#bounds;
    return Math.min(
      maxSliceRows,
      Math.max(minSliceRows, Math.floor(sliceCharacters / term.length)),
    );
  }

  /** @returns undefined when too many rows may match */
  #findByIndex(search: Search): Promise<ContactRow[] | undefined> {
    return this.#read(READS_BY_TEXT, async (database) => {
      const { organization, term, order, after, limit } = search;
      const { maxCandidates } = this.#bounds;
      const candidates = this.#isFile
        ? await fileCandidates(database, search, maxCandidates)
        : postgresCandidates(search, maxCandidates);
      if (!candidates) return undefined;
      const { rows } = await sql<ContactRow & { candidates: number | string }>`
        with candidates as materialized (${candidates}),
        total as (select count(*) as candidates from candidates),
        matches as (
          select id from candidates
          where organisation = ${organization} ${rowsAfter(order, after)} and ${this.#contains(term)}
          ${inOrder(order)} limit ${limit + 1}
        )
        select total.candidates, found.* from total
        left join (select ${COLUMNS} from contacts where id in (select id from matches)) as found on true
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

function nextRows(
  { organization, order }: Search,
  after: Position | undefined,
): RawBuilder<unknown> {
  return sql`
    from contacts where organisation = ${organization} ${rowsAfter(order, after)} ${inOrder(order)}`;
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
