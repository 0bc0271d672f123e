import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Contact, ContactInput } from '../contact.ts';
import { StoreUnavailable } from '../errors.ts';
import type { Organisation } from '../organisation.ts';
import type { ContactRow, Tables } from './database.ts';

/** Where a page of contacts ended. */
export interface Position {
  readonly name: string;
  readonly id: string;
}

/**
 * The contacts of all organisations. Every method takes the organisation first and sees no other's.
 */
export class ContactStore {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  /** Up to `limit` contacts in order of name, those behind `after`. */
  async list(
    organisation: Organisation,
    { limit, after }: { limit: number; after?: Position },
  ): Promise<Contact[]> {
    let query = this.#database
      .selectFrom('contacts')
      .selectAll()
      .where('organisation', '=', organisation);
    if (after) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('name', 'id'), '>', tuple(after.name, after.id)),
      );
    }
    const rows = await reach(query.orderBy('name').orderBy('id').limit(limit).execute());
    return rows.map(toContact);
  }

  async find(organisation: Organisation, id: string): Promise<Contact | undefined> {
    const query = this.#database
      .selectFrom('contacts')
      .selectAll()
      .where('organisation', '=', organisation)
      .where('id', '=', id);
    const row = await reach(query.executeTakeFirst());
    return row && toContact(row);
  }

  async create(organisation: Organisation, input: ContactInput): Promise<Contact> {
    const now = new Date().toISOString();
    const row = toRow(organisation, input, {
      id: randomUUID(),
      version: 1,
      created_at: now,
      updated_at: now,
    });
    await reach(this.#database.insertInto('contacts').values(row).execute());
    return toContact(row);
  }
}

// SQLSTATE classes (PostgreSQL, appendix A): connection, resources, operator intervention, system.
const PASSING =
  /^(?:08|53|57|58)...$|^SQLITE_(?:BUSY|LOCKED|IOERR|FULL|CANTOPEN|READONLY)|^E[A-Z]+$/;

/** @throws StoreUnavailable when the database is away or can't work; any other error as it is */
async function reach<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const { code } = error as { code?: unknown };
    // pg gives no code to a connection that timed out or broke off.
    throw code === undefined || PASSING.test(String(code)) ? new StoreUnavailable(error) : error;
  }
}

function toRow(
  organisation: Organisation,
  { name, email, phone = '', company = '', notes = '' }: ContactInput,
  managed: Pick<ContactRow, 'id' | 'version' | 'created_at' | 'updated_at'>,
): ContactRow {
  return {
    ...managed,
    organisation,
    name,
    email,
    phone: phone || null,
    company: company || null,
    notes: notes || null,
  };
}

function toContact({ organisation: _, phone, company, notes, ...row }: ContactRow): Contact {
  return {
    ...row,
    phone: phone ?? undefined,
    company: company ?? undefined,
    notes: notes ?? undefined,
  };
}
