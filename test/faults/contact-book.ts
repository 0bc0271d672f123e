import type { Ledger } from './ledger.ts';

export type Organization = 'acme' | 'globex';

/** Contact that the API has acknowledged. */
export interface BookEntry {
  readonly id: string;
  readonly organization: Organization;
  readonly name: string;
  /** Possible notes. More than one after a change with an unknown result. */
  notes: Set<string>;
  deleted: 'no' | 'maybe' | 'yes';
  /** Number of acknowledged changes. */
  changes: number;
  /** Number of writes without an answer. Each may still happen. */
  pending: number;
}

/** Contact in the database. */
export interface KeptContact {
  readonly id: string;
  readonly organization: string;
  readonly name: string;
  readonly notes: string | null;
  readonly version: number;
}

const NAME_PREFIX = 'Contact of';

/** Returns the name of a contact. It shows the organization. */
export function contactName(organization: Organization, key: string): string {
  return `${NAME_PREFIX} ${organization} ${key}`;
}

/** Returns true for a text that shows a contact of the other organization. */
export function showsOther(organization: Organization, text: string): boolean {
  return text.includes(`${NAME_PREFIX} ${organization === 'acme' ? 'globex' : 'acme'} `);
}

/** Records acknowledged contacts, which must exist, and contacts that may exist. */
export class ContactBook {
  readonly #ledger: Ledger;
  readonly #entries = new Map<string, BookEntry>();
  readonly #maybeAdded = new Set<string>();
  readonly #refused = new Set<string>();
  #pending = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  added(organization: Organization, id: string, name: string, notes: string): BookEntry {
    const fresh = { organization, id, name, notes: new Set([notes]), changes: 0, pending: 0 };
    const entry: BookEntry = { ...fresh, deleted: 'no' };
    this.#entries.set(id, entry);
    this.#pending -= 1;
    this.#ledger.count('additions acknowledged');
    return entry;
  }

  /** Records an addition that is not acknowledged yet. */
  adding(name: string): void {
    this.#maybeAdded.add(name);
    this.#pending += 1;
  }

  /** Records an addition that the API must refuse. */
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

  /** Checks a contact that was just read. */
  saw(entry: BookEntry, { name, notes }: { name: string; notes: string }): void {
    this.#ledger.count('contacts read again');
    if (name !== entry.name || !entry.notes.has(notes)) {
      this.#ledger.wrong('a reader sees what was written', `${entry.name}: "${notes}"`);
    }
  }

  /** Records that the API did not find a contact. */
  missed(entry: BookEntry): void {
    if (entry.deleted === 'no') {
      this.#ledger.wrong('an acknowledged contact is found', `${entry.name} was not found`);
    }
    entry.deleted = 'yes';
  }

  ofOther(organization: Organization): BookEntry | undefined {
    return [...this.#entries.values()].findLast(
      (entry) => entry.organization !== organization && entry.deleted === 'no',
    );
  }

  /** Compares all acknowledged contacts with the database, at the end. */
  compare(kept: readonly KeptContact[]): void {
    this.#ledger.count('writes without an acknowledgement', this.#pending);
    const rows = new Map(kept.map((row) => [row.id, row]));
    for (const entry of this.#entries.values()) {
      const row = rows.get(entry.id);
      const wrong = row ? faultOfKept(entry, row) : entry.deleted === 'no' && 'it does not exist';
      if (wrong) this.#ledger.wrong('an acknowledged contact is stored', `${entry.name}: ${wrong}`);
    }
    const names = new Set<string>();
    for (const { id, name } of kept.filter(({ name }) => name.startsWith(NAME_PREFIX))) {
      const expected = this.#entries.has(id) || this.#maybeAdded.has(name);
      if (!expected) this.#ledger.wrong('every stored contact was written', name);
      if (names.has(name)) this.#ledger.wrong('no contact is stored twice', name);
      if (this.#refused.has(name)) this.#ledger.wrong('a refused contact is not stored', name);
      names.add(name);
    }
  }

  #settle(entry: BookEntry): void {
    entry.pending -= 1;
    this.#pending -= 1;
  }
}

function faultOfKept(entry: BookEntry, row: KeptContact): string | undefined {
  if (entry.deleted === 'yes') return 'it was deleted, but exists';
  if (row.organization !== `org:${entry.organization}`) return `it belongs to ${row.organization}`;
  if (row.name !== entry.name) return `it is called ${row.name}`;
  if (!entry.notes.has(row.notes ?? '')) return `its notes are "${row.notes}"`;
  if (row.version <= entry.changes) return `its version is ${row.version}`;
  return undefined;
}
