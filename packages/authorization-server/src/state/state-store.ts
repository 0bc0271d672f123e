/** What a record is found by besides its id. */
export interface RecordKeys {
  readonly uid?: string;
  readonly grantId?: string;
}

export interface StoredRecord {
  readonly content: Record<string, unknown>;
  readonly consumed: number | undefined;
}

/** Logins, grants, codes, refresh tokens, consents: JSON records by kind and id, each with an end. */
export interface StateStore {
  /** The record, unless its time is over. `consumed` is when it was used up, in epoch seconds. */
  read(kind: string, id: string): StoredRecord | undefined;
  readByUid(kind: string, uid: string): StoredRecord | undefined;
  /** @param lifetime seconds; undefined keeps it until it is deleted. */
  write(kind: string, id: string, content: object, lifetime?: number, keys?: RecordKeys): void;
  /** Marks a record as used up; false when it was already, or is gone. */
  consume(kind: string, id: string): boolean;
  delete(kind: string, id: string): void;
  /** Of the records whose time is not over; the one that ends first comes first. */
  idsByGrantId(kind: string, grantId: string): string[];
  deleteByGrantId(kind: string, grantId: string): void;
  /** Deletes all there is. */
  clear(): void;
  close(): void;
}
