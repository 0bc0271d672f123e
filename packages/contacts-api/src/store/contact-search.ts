import { setImmediate } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { storeCall } from './database.ts';
import type { Order, PageRequest, Position } from './page.ts';
import { type ContactRow, isFile, type Tables } from './schema.ts';
import { type Block, listBlocks, readCandidates, startOf } from './search-candidates.ts';
import { readSlice, type TermSearch } from './search-slice.ts';

interface Search extends TermSearch, PageRequest {
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
  /** True when the next round begins with a slice. */
  isSliceNext: boolean;
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
  /** Characters of a term that many rows may have. The index is asked first for a longer one. */
  frequentTermLength: 3,
  /** Rounds that need not wait for another long search. */
  shortRounds: 4,
  /**
   * Characters of the term times rows that one statement compares with it: PostgreSQL can compare each
   * character of a text with all of the term.
   */
  comparedCharacters: 200_000,
  minSliceRows: 100,
  /** The first slice is short, because most terms are frequent or rare, and long ones are rare. */
  firstSliceRows: 1000,
  firstSliceCharacters: 20_000,
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
 * It goes on in rounds. The first rows in order, the slice, fill the page of a short term, which many of
 * them contain. Behind the slice the index names the rows that may match, block after block, until they
 * are too many: there the next slice begins. The index is asked first for a longer term. When the time
 * is up, the page is short, and the next one goes on from there.
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
    return isFile(this.#database);
  }

  async find(search: Search): Promise<Found> {
    const { organization, subject } = search;
    const deadline = performance.now() + this.#bounds.timeLimitMs;
    return this.#turns.take(`${subject}\n${organization}`, async () => {
      const walk: Walk = {
        ...{ ...search, after: search.after, rows: [] },
        isSliceNext: this.#beginsWithSlice(search),
        maxSliceRows: this.#firstSliceRows(search),
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

  /** Reads a slice if it is next, then the rows that the index names. @returns true when the search is done */
  async #searchRound(database: Kysely<Tables>, walk: Walk): Promise<boolean> {
    const { isSliceNext, term } = walk;
    const { maxBlocks, comparedCharacters } = this.#bounds;
    const maxRows = this.#rowsOf(comparedCharacters, walk);
    await this.#pause();
    if (isSliceNext) {
      const size = Math.min(walk.maxSliceRows, maxRows);
      const { matches, end } = await readSlice(database, walk, { size, enough: enoughRows(walk) });
      walk.rows.push(...matches);
      if (walk.rows.length > walk.limit || !end) return true;
      walk.after = end;
      walk.maxSliceRows = this.#nextSliceRows(walk);
    }
    walk.isSliceNext = true;
    // In another order the index is asked for all blocks, and named too many rows.
    if (!isByName(walk) && walk.frequentIn !== undefined) return false;
    const { blocks, divided } = await this.#blocksOf(database, walk);
    const [first] = divided;
    if (!first) return true;
    if (!isByName(walk) && blocks.length > maxBlocks) walk.frequentIn = startOf(first);
    if (startOf(first) === walk.frequentIn) return false;
    if (!isSliceNext && first.text.includes(term)) return false;
    // Pieces cost more than their part. They are looked up if one of them begins with a match, which ends the
    // lookup, or if the part has too many rows.
    const isInPiece = divided.some(({ depth, text }) => depth === 2 && text.includes(term));
    for (const listed of isInPiece ? [divided] : new Set([blocks, divided])) {
      await this.#pause();
      const isDone = await this.#readByIndex(database, walk, listed);
      if (isDone !== undefined) return isDone;
    }
    const maxCandidates = Math.min(this.#bounds.maxCandidates, maxRows);
    // Nothing is gained. More rows are allowed behind the next slice, or the block is left to slices.
    if (walk.maxCandidates >= maxCandidates) walk.frequentIn = startOf(first);
    else walk.maxCandidates = Math.min(4 * walk.maxCandidates, maxCandidates);
    return false;
  }

  /** Lets other requests run. The statements of a file run in this thread. */
  async #pause(): Promise<void> {
    if (this.#isFile) await setImmediate();
  }

  async #blocksOf(database: Kysely<Tables>, walk: Walk) {
    const max = this.#bounds.maxBlocks + 1;
    if (isByName(walk)) return listBlocks(database, walk, { max, hasParts: true });
    const all = { ...walk, order: BY_NAME, after: undefined };
    return listBlocks(database, all, { max, hasParts: false });
  }

  /** Slices by date grow together with the rows that the index may name: either can fill the page first. */
  #nextSliceRows(walk: Walk): number {
    const { maxSliceRows } = this.#bounds;
    return isByName(walk) ? maxSliceRows : Math.min(4 * walk.maxSliceRows, maxSliceRows);
  }

  #firstSliceRows(search: Search): number {
    const { firstSliceCharacters, firstSliceRows } = this.#bounds;
    return Math.min(firstSliceRows, this.#rowsOf(firstSliceCharacters, search));
  }

  /** Returns the rows of which one statement compares up to this many characters with the term. */
  #rowsOf(characters: number, { term }: Search): number {
    return Math.max(this.#bounds.minSliceRows, Math.floor(characters / term.length));
  }

  /**
   * Reads the rows that the index names in the next blocks.
   *
   * @returns true when the search is done: the page is full, or no block is left; undefined when too many
   * rows are named, so that nothing is gained
   */
  async #readByIndex(
    database: Kysely<Tables>,
    walk: Walk,
    listed: readonly Block[],
  ): Promise<boolean | undefined> {
    const { order, rows } = walk;
    const { maxBlocks, maxParts } = this.#bounds;
    const stop = listed.findIndex(
      ({ text, depth }, place) =>
        // A block whose first row has the term often has many. It is read in a slice.
        place > 0 && (text.includes(walk.term) || (this.#isFile && depth > 0 && place >= maxParts)),
    );
    const blocks = listed.slice(0, stop > 0 && isByName(walk) ? stop : maxBlocks);
    const range = { blocks, max: walk.maxCandidates, enough: enoughRows(walk) };
    const { matches, cutIn } = await readCandidates(database, walk, range);
    // Blocks that are read to their end. Of the last one that is named, rows may be missing.
    const end = cutIn ?? blocks.length;
    const isWhole = end >= listed.length;
    if (!isWhole && (end === 0 || !isByName(walk))) return undefined;
    rows.push(...matches);
    if (isWhole || rows.length > walk.limit) return true;
    // Behind what is read: texts from the next block on, or in reverse those before the last one.
    const block = listed[order.direction === 'asc' ? end : end - 1];
    walk.after = { value: block ? startOf(block) : '', id: '' };
    walk.maxCandidates = this.#firstCandidates(walk);
    const isNext = !!listed[end]?.text.includes(walk.term);
    walk.isSliceNext = isNext || this.#beginsWithSlice(walk);
    // One row with the term may be all that the block has.
    if (cutIn === undefined && isNext) walk.maxSliceRows = this.#firstSliceRows(walk);
    return false;
  }

  /** Returns whether many rows may have the term. By date, the index is asked for all rows at once. */
  #beginsWithSlice(search: Search): boolean {
    return !isByName(search) || search.term.length <= this.#bounds.frequentTermLength;
  }

  /** Returns more for other orders: there the index is asked for all blocks at once. */
  #firstCandidates(search: Search): number {
    return this.#bounds.firstCandidates * (isByName(search) ? 1 : 4);
  }

  /** Works on PostgreSQL in a transaction, for its settings. The result does not wait for its end. */
  #withSettings<T>(work: (database: Kysely<Tables>) => Promise<T>): Promise<T> {
    if (this.#isFile) return storeCall(work(this.#database));
    const result = new Promise<T>((resolve, reject) => {
      const transaction = this.#database.connection().execute(async (connection) => {
        const settings = `set local statement_timeout = ${this.#bounds.timeLimitMs}; ${PLANS}`;
        const begin = sql.raw(`begin isolation level repeatable read read only; ${settings}`);
        const working = begin.execute(connection).then(() => work(connection));
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
