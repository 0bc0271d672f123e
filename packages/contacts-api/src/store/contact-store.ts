import { randomUUID } from 'node:crypto';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Caller, Organisation } from '../caller.ts';
import type { Action, Contact, ContactInput, ContactSort } from '../contact.ts';
import { ApiError } from '../errors.ts';
import { storeCall } from './database.ts';
import { type ContactRow, searchText, type Tables } from './schema.ts';

/** Where a page ended: the last item's value of the column that it is sorted by, and its id. */
export interface Position {
  readonly value: string;
  readonly id: string;
}

export interface ContactQuery {
  readonly limit: number;
  readonly sort: ContactSort;
  /** What name, e-mail address or company must contain. */
  readonly q?: string | undefined;
  readonly after?: Position | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins; undefined when there is none. */
  readonly next: Position | undefined;
}

const COLUMNS = {
  name: 'search_text',
  created_at: 'created_at',
  updated_at: 'updated_at',
} as const;
/** A try fails only because another change came first, so that this many at once all succeed. */
const MAX_TRIES = 20;

/**
 * The contacts of all organisations. Every method takes the organisation first and sees no other's.
 * A change and its record in the activity are one transaction.
 */
export class ContactStore {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async list(
    organisation: Organisation,
    { limit, sort, q, after }: ContactQuery,
  ): Promise<Page<Contact>> {
    const descending = sort.startsWith('-');
    const column = COLUMNS[sort.replace('-', '') as keyof typeof COLUMNS];
    const order = descending ? 'desc' : 'asc';
    let query = this.#database
      .selectFrom('contacts')
      .selectAll()
      .where('organisation', '=', organisation);
    if (q) query = query.where(sql<boolean>`search_text like ${containing(q)} escape '\\'`);
    if (after) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple(column, 'id'), descending ? '<' : '>', tuple(after.value, after.id)),
      );
    }
    // One row more than the page has, to see whether another page follows.
    const rows = await storeCall(
      query
        .orderBy(column, order)
        .orderBy('id', order)
        .limit(limit + 1)
        .execute(),
    );
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const next = rows.length > limit && last ? { value: last[column], id: last.id } : undefined;
    return { items: page.map(toContact), next };
  }

  async find(organisation: Organisation, id: string): Promise<Contact | undefined> {
    const row = await this.#find(organisation, id);
    return row && toContact(row);
  }

  async create(organisation: Organisation, by: Caller, input: ContactInput): Promise<Contact> {
    const now = new Date().toISOString();
    const managed = { id: randomUUID(), version: 1, created_at: now, updated_at: now };
    const row = toRow(organisation, input, managed);
    await storeCall(
      this.#database.transaction().execute(async (transaction) => {
        await transaction.insertInto('contacts').values(row).execute();
        await record(transaction, organisation, by, 'created', row.id);
      }),
    );
    return toContact(row);
  }

  /**
   * Changes a contact to what `edit` makes of it. Should another change come first, `edit` is asked
   * again with what that one left.
   *
   * @param edit may throw; then nothing is changed
   * @returns undefined when there is no such contact
   */
  async update(
    organisation: Organisation,
    by: Caller,
    id: string,
    edit: (current: Contact) => ContactInput,
  ): Promise<Contact | undefined> {
    return this.#change(organisation, id, async (current, transaction) => {
      const { created_at, version } = current;
      const managed = {
        id,
        version: version + 1,
        created_at,
        updated_at: new Date().toISOString(),
      };
      const row = toRow(organisation, edit(toContact(current)), managed);
      const { numUpdatedRows } = await transaction
        .updateTable('contacts')
        .set(row)
        .where('organisation', '=', organisation)
        .where('id', '=', id)
        .where('version', '=', version)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return undefined;
      await record(transaction, organisation, by, 'updated', id);
      return toContact(row);
    });
  }

  /**
   * Deletes a contact.
   *
   * @param check may throw; then nothing is deleted
   * @returns what was deleted; undefined when there is no such contact
   */
  async delete(
    organisation: Organisation,
    by: Caller,
    id: string,
    check: (current: Contact) => void,
  ): Promise<Contact | undefined> {
    return this.#change(organisation, id, async (current, transaction) => {
      check(toContact(current));
      const { numDeletedRows } = await transaction
        .deleteFrom('contacts')
        .where('organisation', '=', organisation)
        .where('id', '=', id)
        .where('version', '=', current.version)
        .executeTakeFirst();
      if (numDeletedRows === 0n) return undefined;
      await record(transaction, organisation, by, 'deleted', id);
      return toContact(current);
    });
  }

  // Reads first, outside of the transaction: on a file one that begins with reading can't wait for
  // another that writes. The version shows that nothing changed meanwhile.
  async #change(
    organisation: Organisation,
    id: string,
    attempt: (
      current: ContactRow,
      transaction: Transaction<Tables>,
    ) => Promise<Contact | undefined>,
  ): Promise<Contact | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const current = await this.#find(organisation, id);
      if (!current) return undefined;
      const changed = await storeCall(
        this.#database.transaction().execute((transaction) => attempt(current, transaction)),
      );
      if (changed) return changed;
    }
    throw new ApiError('ERR_STORE_UNAVAILABLE', {
      detail: 'others change the same contact all the while',
    });
  }

  #find(organisation: Organisation, id: string): Promise<ContactRow | undefined> {
    return storeCall(
      this.#database
        .selectFrom('contacts')
        .selectAll()
        .where('organisation', '=', organisation)
        .where('id', '=', id)
        .executeTakeFirst(),
    );
  }
}

async function record(
  transaction: Transaction<Tables>,
  organisation: Organisation,
  { subject, clientId }: Caller,
  action: Action,
  contactId: string,
): Promise<void> {
  await transaction
    .insertInto('activity')
    .values({
      id: randomUUID(),
      organisation,
      at: new Date().toISOString(),
      subject,
      client_id: clientId ?? null,
      action,
      contact_id: contactId,
    })
    .execute();
}

function containing(q: string): string {
  return `%${searchText(q).replace(/[\\%_]/g, '\\$&')}%`;
}

function toRow(
  organisation: Organisation,
  { name, email, phone, company, notes }: ContactInput,
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
    search_text: searchText(name, email, company),
  };
}

function toContact({
  organisation: _,
  search_text: __,
  phone,
  company,
  notes,
  ...row
}: ContactRow): Contact {
  return {
    ...row,
    phone: phone ?? undefined,
    company: company ?? undefined,
    notes: notes ?? undefined,
  };
}
