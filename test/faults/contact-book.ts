import type { Ledger } from './ledger.ts';

export type Organisation = 'acme' | 'globex';

/** A contact that the API has acknowledged. */
export interface BookEntry {
  readonly id: string;
  readonly organisation: Organisation;
  readonly name: string;
  /** What its notes may be: more than one when nobody knows whether a change was made. */
  notes: Set<string>;
  deleted: 'no' | 'maybe' | 'yes';
  /** Changes that were acknowledged. */
  changes: number;
  /** Writes that nobody answered, or has answered yet: they may come to pass at any time. */
  pending: number;
}

/** A contact as the database has it. */
export interface KeptContact {
  readonly id: string;
  readonly organisation: string;
  readonly name: string;
  readonly notes: string | null;
  readonly version: number;
}

const MARK = 'Contact of';

/** What a contact of this organisation is called, which tells it from every other's. */
export function contactName(organisation: Organisation, key: string): string {
  return `${MARK} ${organisation} ${key}`;
}

/** Whether a text shows a contact of the other organisation. */
export function showsOther(organisation: Organisation, text: string): boolean {
  return text.includes(`${MARK} ${organisation === 'acme' ? 'globex' : 'acme'} `);
}

/** What was acknowledged, and so must be there; and what may be there. */
export class ContactBook {
  readonly #ledger: Ledger;
  readonly #entries = new Map<string, BookEntry>();
  readonly #maybeAdded = new Set<string>();
  readonly #refused = new Set<string>();
  #pending = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  added(organisation: Organisation, id: string, name: string, notes: string): BookEntry {
    const fresh = { organisation, id, name, notes: new Set([notes]), changes: 0, pending: 0 };
    const entry: BookEntry = { ...fresh, deleted: 'no' };
    this.#entries.set(id, entry);
    this.#pending -= 1;
    this.#ledger.count('additions acknowledged');
    return entry;
  }

  /** From when it is sent until it is acknowledged. */
  adding(name: string): void {
    this.#maybeAdded.add(name);
    this.#pending += 1;
  }

  /** With a 4xx: it must not be there. */
  refused(name: string): void {
    this.#refused.add(name);
    this.#ledger.count('additions refused, as they must be');
  }

  changed(entry: BookEntry, notes: string): void {
    entry.notes = new Set([notes]);
    entry.changes += 1;
    this.#settle(entry);
    this.#ledger.count('changes acknowledged');
  }

  changing(entry: BookEntry, notes: string): void {
    entry.notes.add(notes);
    entry.pending += 1;
    this.#pending += 1;
  }

  deleted(entry: BookEntry): void {
    entry.deleted = 'yes';
    this.#settle(entry);
    this.#ledger.count('deletions acknowledged');
  }

  deleting(entry: BookEntry): void {
    entry.deleted = 'maybe';
    entry.pending += 1;
    this.#pending += 1;
  }

  /** Somebody has just read it. */
  saw(entry: BookEntry, { name, notes }: { name: string; notes: string }): void {
    this.#ledger.count('contacts read again');
    if (name !== entry.name || !entry.notes.has(notes)) {
      this.#ledger.wrong('who reads sees what was written', `${entry.name}: "${notes}"`);
    }
  }

  /** Somebody was just told that it is not there. */
  missed(entry: BookEntry): void {
    if (entry.deleted === 'no') {
      this.#ledger.wrong('what was acknowledged is there', `${entry.name} was not found`);
    }
    entry.deleted = 'yes';
  }

  ofOther(organisation: Organisation): BookEntry | undefined {
    return [...this.#entries.values()].findLast(
      (entry) => entry.organisation !== organisation && entry.deleted === 'no',
    );
  }

  /** In the end: all that was acknowledged against all that is kept. */
  compare(kept: readonly KeptContact[]): void {
    this.#ledger.count('writes without an acknowledgement', this.#pending);
    const rows = new Map(kept.map((row) => [row.id, row]));
    for (const entry of this.#entries.values()) {
      const row = rows.get(entry.id);
      const wrong = row ? faultOfKept(entry, row) : entry.deleted === 'no' && 'it is not there';
      if (wrong) this.#ledger.wrong('what was acknowledged is kept', `${entry.name}: ${wrong}`);
    }
    const names = new Set<string>();
    for (const { id, name } of kept.filter(({ name }) => name.startsWith(MARK))) {
      const expected = this.#entries.has(id) || this.#maybeAdded.has(name);
      if (!expected) this.#ledger.wrong('nothing is kept that nobody wrote', name);
      if (names.has(name)) this.#ledger.wrong('nothing is written twice', name);
      if (this.#refused.has(name)) this.#ledger.wrong('what was refused is not kept', name);
      names.add(name);
    }
  }

  #settle(entry: BookEntry): void {
    entry.pending -= 1;
    this.#pending -= 1;
  }
}

function faultOfKept(entry: BookEntry, row: KeptContact): string | undefined {
  if (entry.deleted === 'yes') return 'it was deleted, and is there';
  if (row.organisation !== `org:${entry.organisation}`) return `it is kept for ${row.organisation}`;
  if (row.name !== entry.name) return `it is called ${row.name}`;
  if (!entry.notes.has(row.notes ?? '')) return `its notes are "${row.notes}"`;
  if (row.version <= entry.changes) return `its version is ${row.version}`;
  return undefined;
}
