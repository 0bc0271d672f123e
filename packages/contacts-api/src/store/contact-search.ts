import { setImmediate } from 'node:timers/promises';
import { type Kysely, type RawBuilder, SqliteAdapter, sql } from 'kysely';
import { storeCall } from './database.ts';
import {
  inOrder,
  nextRows,
  type Order,
  type PageRequest,
  type Position,
  rowsAfter,
} from './page.ts';
import type { ContactRow, Tables } from './schema.ts';
import {
  type Block,
  COLUMNS,
  type IndexedSearch,
  indexEntries,
  listBlocks,
  startOf,
} from './search-candidates.ts';

interface Search extends IndexedSearch, PageRequest {
  /** The caller. A second search of the same caller waits for the first. */
  readonly subject: string;
}

/** Rows that match, and one more than the limit when another page follows. */
export interface Found {
  readonly rows: readonly ContactRow[];
  /** The last row that was compared, when the time was up before the page was full. */
  readonly end: Position | undefined;
}

/** A search that is under way. Rows up to the position `after` are compared. */
interface Walk extends Search {
  after: Position | undefined;
  readonly rows: ContactRow[];
  /** Rows of the next slice, at most. */
  maxSliceRows: number;
  /** Rows that the index may name next, at most. */
  maxCandidates: number;
  /** The start of a block in which the index names too many rows. */
  frequentIn?: string;
}

/** Bounds of the work of a search. */
const BOUNDS = {
  timeLimitMs: 1000,
  /** Rounds that need not wait for another long search. */
  shortRounds: 3,
  /** Characters of the term times rows that one statement compares with it. */
  sliceCharacters: 200_000,
  minSliceRows: 500,
  /** The first slice is short, because most terms are frequent or rare. */
  firstSliceRows: 1000,
  maxSliceRows: 40_000,
  /** Blocks that the index is asked for at once. */
  maxBlocks: 400,
  /** Parts of a block that a file is asked for: it reads the entries of the block for each of them. */
  maxParts: 10,
  /** Rows that the index may name. A slice often fills the page sooner, so few are tried first. */
  firstCandidates: 250,
  maxCandidates: 20_000,
};

const BY_NAME: Order = { column: 'search_text', direction: 'asc' };

/**
 * Settings with which PostgreSQL reads slices in the order of an index. It would sort all rows of a new table.
 * A sort that is off has so high a cost that the costs of joins next to it look the same, so each part of a
 * statement that sorts is materialized.
 */
const PLANS = [
  ...['enable_seqscan = off', 'enable_sort = off', 'jit = off'],
  // A plan can be kept that fits any term.
  'plan_cache_mode = force_generic_plan',
]
  .map((setting) => `set local ${setting}`)
  .join('; ');

/**
 * Finds contacts by a part of their search text, in the order of the list, with bounded work.
 *
 * It goes on in rounds. The first rows in order, the slice, fill the page of a term that many of them
 * contain. Behind the slice the index names the rows that may match, block after block, until they are
 * too many: there the next slice begins. When the time is up, the page is short, and the next one goes
 * on from there.
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

  async find(search: Search): Promise<Found> {
    const { organization, subject } = search;
    const deadline = performance.now() + this.#bounds.timeLimitMs;
    return this.#turns.take(`${subject}\n${organization}`, async () => {
      const walk: Walk = {
        ...{ ...search, after: search.after, rows: [] },
        maxSliceRows: this.#bounds.firstSliceRows,
        maxCandidates: this.#firstCandidates(search),
      };
      const isDone = await this.#withSettings(async (database) => {
        for (let round = 0; round < this.#bounds.shortRounds; round += 1) {
          if (await this.#searchRound(database, walk)) return true;
        }
        return false;
      });
      if (isDone) return { rows: walk.rows, end: undefined };
      // One long search at a time, so that they leave time for all other requests.
      return this.#turns.take('', () =>
        this.#withSettings(async (database) => {
          do {
            if (await this.#searchRound(database, walk)) return { rows: walk.rows, end: undefined };
          } while (performance.now() < deadline);
          return { rows: walk.rows, end: walk.after };
        }),
      );
    });
  }

  /** Reads a slice, then the rows that the index names. @returns true when the search is done */
  async #searchRound(database: Kysely<Tables>, walk: Walk): Promise<boolean> {
    // On a file the statements run in this thread.
    await setImmediate();
    const { matches, end } = await this.#readSlice(database, walk);
    walk.rows.push(...matches);
    if (walk.rows.length > walk.limit || !end) return true;
    walk.after = end;
    walk.maxSliceRows = this.#nextSliceRows(walk);
    // In another order the index is asked for all blocks, and named too many rows.
    if (!isByName(walk) && walk.frequentIn !== undefined) return false;
    const blocks = await this.#blocksOf(database, walk);
    const [first] = blocks;
    if (!first) return true;
    if (startOf(first) === walk.frequentIn) return false;
    await setImmediate();
    return this.#readByIndex(database, walk, blocks);
  }

  async #blocksOf(database: Kysely<Tables>, walk: Walk): Promise<readonly Block[]> {
    const range = { max: this.#bounds.maxBlocks + 1, isFile: this.#isFile };
    if (isByName(walk)) return listBlocks(database, walk, { ...range, after: walk.after });
    return listBlocks(database, { ...walk, order: BY_NAME }, { ...range, after: undefined });
  }

  /**
   * Compares the next rows of the organization with the term.
   *
   * The inner statements read an index alone when the order is by name. A limit ends the slice: a
   * comparison with its last row would go on through all rows of the same name on PostgreSQL. Both
   * engines read the slice in its order, and no further than needed. It is one statement, because
   * another change could move the end.
   *
   * @returns end: the last row of the slice, when the slice is full and the page is not
   */
  async #readSlice(
    database: Kysely<Tables>,
    walk: Walk,
  ): Promise<{ matches: ContactRow[]; end: Position | undefined }> {
    const { organization, term, order, after } = walk;
    const next = nextRows(organization, order, after);
    const size = this.#rowsOfSlice(walk);
    const enough = enoughRows(walk);
    const { rows } = await sql<ContactRow & { end_value: string | null; end_id: string }>`
      with matches as materialized (
        select match as id from (
          select case when ${this.#contains(term)} then id end as match ${next} limit ${size}
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

  /** Slices by date grow together with the rows that the index may name: either can fill the page first. */
  #nextSliceRows(walk: Walk): number {
    const { maxSliceRows } = this.#bounds;
    return isByName(walk) ? maxSliceRows : Math.min(4 * walk.maxSliceRows, maxSliceRows);
  }

  #rowsOfSlice({ term, maxSliceRows }: Walk): number {
    const { sliceCharacters, minSliceRows } = this.#bounds;
    const rows = Math.max(minSliceRows, Math.floor(sliceCharacters / term.length));
    return Math.min(maxSliceRows, rows);
  }

  /**
   * Reads the rows that the index names in the next blocks.
   *
   * @returns true when the search is done: the page is full, or no block is left
   */
  async #readByIndex(
    database: Kysely<Tables>,
    walk: Walk,
    listed: readonly Block[],
  ): Promise<boolean> {
    const { organization, order, after, rows } = walk;
    const { maxBlocks, maxParts, maxCandidates } = this.#bounds;
    const [max, isFile] = [walk.maxCandidates, this.#isFile];
    const stop = listed.findIndex(
      ({ text, part }, place) =>
        // A block whose first row has the term often has many. It is read in a slice.
        place > 0 && (text.includes(walk.term) || (isFile && part !== null && place >= maxParts)),
    );
    const blocks = listed.slice(0, stop > 0 && isByName(walk) ? stop : maxBlocks);
    const entries = await indexEntries(database, walk, { blocks, max, isFile });
    const { rows: found } = await sql<
      ContactRow & { count: number | string; last: number | string }
    >`
      with entries as materialized (${entries}),
      total as (select count(*) as count, max(place) as last from entries),
      matches as materialized (
        select id from total cross join entries
        ${isFile ? sql`cross join contacts on contacts.number = entries.number` : sql``}
        where (count <= ${max} ${isByName(walk) ? sql`or place < last` : sql``})
        and organisation = ${organization} ${rowsAfter(order, after)} and ${this.#contains(walk.term)}
        ${inOrder(order)} limit ${enoughRows(walk)}
      )
      select total.*, found.* from total
      left join (select ${COLUMNS} from contacts where id in (select id from matches)) as found on true
      ${inOrder(order)}`.execute(database);
    const isCut = Number(found[0]?.count) > max;
    // Blocks that are read to their end. Of the last one that is named, rows may be missing.
    const end = isCut ? Number(found[0]?.last) : blocks.length;
    const isWhole = end >= listed.length;
    if (!isWhole && (end === 0 || !isByName(walk))) {
      // Nothing is gained. More rows are allowed behind the next slice, or the block is left to slices.
      if (isCut && max < maxCandidates) walk.maxCandidates = Math.min(4 * max, maxCandidates);
      else if (listed[0]) walk.frequentIn = startOf(listed[0]);
      return false;
    }
    for (const { count: _, last: __, ...row } of found) if (row.id !== null) rows.push(row);
    if (isWhole || rows.length > walk.limit) return true;
    // Behind what is read: texts from the next block on, or in reverse those before the last one.
    const block = listed[order.direction === 'asc' ? end : end - 1];
    walk.after = { value: block ? startOf(block) : '', id: '' };
    walk.maxCandidates = this.#firstCandidates(walk);
    // One row with the term may be all that the block has.
    if (!isCut && listed[end]?.text.includes(walk.term)) {
      walk.maxSliceRows = this.#bounds.firstSliceRows;
    }
    return false;
  }

  /** Returns more for other orders: there the index is asked for all blocks at once. */
  #firstCandidates(search: Search): number {
    return this.#bounds.firstCandidates * (isByName(search) ? 1 : 4);
  }

  // LIKE compares the term with each place of a text, and tries again at each "%": its cost is the
  // product of both lengths.
  #contains(term: string): RawBuilder<boolean> {
    return this.#isFile
      ? sql<boolean>`instr(search_text, ${term}) > 0`
      : sql<boolean>`position(${term} in search_text) > 0`;
  }

  /** Works on PostgreSQL in a transaction, for its settings. The result does not wait for its end. */
  #withSettings<T>(work: (database: Kysely<Tables>) => Promise<T>): Promise<T> {
    if (this.#isFile) return storeCall(work(this.#database));
    const result = new Promise<T>((resolve, reject) => {
      const transaction = this.#database.connection().execute(async (connection) => {
        const limit = `set local statement_timeout = ${this.#bounds.timeLimitMs}`;
        await sql
          .raw(`begin isolation level repeatable read read only; ${limit}; ${PLANS}`)
          .execute(connection);
        const working = work(connection);
        resolve(working);
        await working.catch(() => {});
        await sql`rollback`.execute(connection);
      });
      transaction.catch(reject);
    });
    return storeCall(result);
  }
}

function isByName({ order }: Search): boolean {
  return order.column === 'search_text';
}

/** Returns the number of rows that fill the page, with one that shows that another page follows. */
function enoughRows({ limit, rows }: Walk): number {
  return limit + 1 - rows.length;
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
