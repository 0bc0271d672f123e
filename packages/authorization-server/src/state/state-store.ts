/** Keys of a record in addition to its id. */
export interface RecordKeys {
  readonly uid?: string | undefined;
  readonly grantId?: string | undefined;
}

export interface StoredRecord {
  readonly content: Record<string, unknown>;
  /** Time at which the record was used up, by the clock of the store. */
  readonly consumed: number | undefined;
}

/** Logins, grants, codes, refresh tokens, consents: JSON records by kind and id, each with an end. */
export interface StateStore {
  /** Returns the epoch seconds of the clock that records end by. */
  now(): number;
  /** Returns a record that has not ended. */
  read(kind: string, id: string): StoredRecord | undefined;
  readByUid(kind: string, uid: string): StoredRecord | undefined;
  /** Writes a record. @param lifetime seconds; default: until the record is deleted. */
  write(kind: string, id: string, content: object, lifetime?: number, keys?: RecordKeys): void;
  /** Replaces the content of a record, whose keys and end stay; does nothing if it has ended. */
  replaceContent(kind: string, id: string, content: object): void;
  /** Marks a record as used up; returns false when it was used before, or does not exist. */
  consume(kind: string, id: string): boolean;
  delete(kind: string, id: string): void;
  /** Returns the ids of records that have not ended; the one that ends first comes first. */
  idsByGrantId(kind: string, grantId: string): string[];
  deleteByGrantId(kind: string, grantId: string): void;
  clear(): void;
  close(): void;
}

export const SWEEP_INTERVAL_MS = 60_000;
