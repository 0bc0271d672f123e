import { randomUUID } from 'node:crypto';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Caller, Organization } from '../caller.ts';
import type {
  Action,
  Activity,
  Contact,
  ContactInput,
  ContactSort,
  EachField,
} from '../contact.ts';
import { ApiError } from '../errors.ts';
import { storeCall } from './database.ts';
import { type ContactRow, searchText, type Tables } from './schema.ts';

/** The end of a page: the last item's value of the sorted column, and its id. */
export interface Position {
  readonly value: string;
  readonly id: string;
}

export interface PageRequest {
  readonly limit: number;
  readonly after?: Position | undefined;
}

export interface ContactQuery extends PageRequest {
  readonly sort: ContactSort;
  /** Text that the name, e-mail address or company contains. */
  readonly q?: string | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: Position | undefined;
}

const SORT_COLUMNS = {
  name: 'search_text',
  created_at: 'created_at',
  updated_at: 'updated_at',
} as const;
/** An attempt fails only when another change came first: this many changes at once all succeed. */
const MAX_ATTEMPTS = 20;

/**
 * Stores the contacts of all organizations and the activity on them. Each method takes an
 * organization first, and uses only its data. A change and its activity are one transaction.
 */
export class ContactStore {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async list(
    organization: Organization,
    { limit, sort, q, after }: ContactQuery,
  ): Promise<Page<Contact>> {
    const descending = sort.startsWith('-');
    const column = SORT_COLUMNS[sort.replace('-', '') as keyof typeof SORT_COLUMNS];
    const order = descending ? 'desc' : 'asc';
    let query = this.#database
      .selectFrom('contacts')
      .selectAll()
      .where('organisation', '=', organization)
      .orderBy(column, order)
      .orderBy('id', order)
      .limit(limit + 1);
    if (q) {
      const pattern = `%${searchText(q).replace(/[\\%_]/g, '\\$&')}%`;
      query = query.where(sql<boolean>`search_text like ${pattern} escape '\\'`);
    }
    if (after) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple(column, 'id'), descending ? '<' : '>', tuple(after.value, after.id)),
      );
    }
    const { items, next } = toPage(await storeCall(query.execute()), limit, column);
    return { items: items.map(toContact), next };
  }

  /** Lists the changes to an organization's contacts, newest first. */
  async listActivity(
    organization: Organization,
    { limit, after }: PageRequest,
  ): Promise<Page<Activity>> {
    let query = this.#database
      .selectFrom('activity')
      .select(['id', 'at', 'subject', 'client_id', 'action', 'contact_id'])
      .where('organisation', '=', organization)
      .orderBy('at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit + 1);
    if (after) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('at', 'id'), '<', tuple(after.value, after.id)),
      );
    }
    return toPage(await storeCall(query.execute()), limit, 'at');
  }

  async find(organization: Organization, id: string): Promise<Contact | undefined> {
    const row = await this.#findRow(organization, id);
    return row && toContact(row);
  }

  async create(organization: Organization, by: Caller, input: ContactInput): Promise<Contact> {
    const now = new Date().toISOString();
    const managed = { id: randomUUID(), version: 1, created_at: now, updated_at: now };
    const row = toRow(organization, input, managed);
    await storeCall(
      this.#database.transaction().execute(async (transaction) => {
        await transaction.insertInto('contacts').values(row).execute();
        await recordActivity(transaction, organization, by, 'created', row.id);
      }),
    );
    return toContact(row);
  }

  /**
   * Replaces a contact by the result of `edit`. When another change comes first, `edit` runs again on
   * the new state.
   *
   * @returns undefined when the organization has no such contact
   */
  async update(
    organization: Organization,
    by: Caller,
    id: string,
    edit: (current: Contact) => ContactInput,
  ): Promise<Contact | undefined> {
    return this.#changeRow(organization, id, async (current, transaction) => {
      const { created_at, version } = current;
      const updated_at = new Date().toISOString();
      const managed = { id, version: version + 1, created_at, updated_at };
      const row = toRow(organization, edit(toContact(current)), managed);
      const { numUpdatedRows } = await transaction
        .updateTable('contacts')
        .set(row)
        .where('organisation', '=', organization)
        .where('id', '=', id)
        .where('version', '=', version)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return undefined;
      await recordActivity(transaction, organization, by, 'updated', id);
      return toContact(row);
    });
  }

  /**
   * Deletes a contact, unless `check` throws.
   *
   * @returns the deleted contact; undefined when the organization has no such contact
   */
  async delete(
    organization: Organization,
    by: Caller,
    id: string,
    check: (current: Contact) => void,
  ): Promise<Contact | undefined> {
    return this.#changeRow(organization, id, async (current, transaction) => {
      check(toContact(current));
      const { numDeletedRows } = await transaction
        .deleteFrom('contacts')
        .where('organisation', '=', organization)
        .where('id', '=', id)
        .where('version', '=', current.version)
        .executeTakeFirst();
      if (numDeletedRows === 0n) return undefined;
      await recordActivity(transaction, organization, by, 'deleted', id);
      return toContact(current);
    });
  }

  // The read comes before the transaction: SQLite can't make a transaction that began with a read
  // wait for another writer. The version shows whether the row changed in between.
  async #changeRow(
    organization: Organization,
    id: string,
    attempt: (
      current: ContactRow,
      transaction: Transaction<Tables>,
    ) => Promise<Contact | undefined>,
  ): Promise<Contact | undefined> {
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
      const current = await this.#findRow(organization, id);
      if (!current) return undefined;
      const changed = await storeCall(
        this.#database.transaction().execute((transaction) => attempt(current, transaction)),
      );
      if (changed) return changed;
    }
    throw new ApiError('ERR_STORE_UNAVAILABLE', {
      detail: `another change to the contact came first ${MAX_ATTEMPTS} times`,
    });
  }

  #findRow(organization: Organization, id: string): Promise<ContactRow | undefined> {
    return storeCall(
      this.#database
        .selectFrom('contacts')
        .selectAll()
        .where('organisation', '=', organization)
        .where('id', '=', id)
        .executeTakeFirst(),
    );
  }
}

// An extra row shows that another page follows.
function toPage<Column extends string, Row extends Record<Column | 'id', string>>(
  rows: readonly Row[],
  limit: number,
  column: Column,
): Page<Row> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return {
    items,
    next: rows.length > limit && last ? { value: last[column], id: last.id } : undefined,
  };
}

async function recordActivity(
  transaction: Transaction<Tables>,
  organization: Organization,
  { subject, clientId }: Caller,
  action: Action,
  contactId: string,
): Promise<void> {
  await transaction
    .insertInto('activity')
    .values({
      id: randomUUID(),
      organisation: organization,
      at: new Date().toISOString(),
      subject,
      client_id: clientId ?? null,
      action,
      contact_id: contactId,
    })
    .execute();
}

function toRow(
  organization: Organization,
  { name, email, phone, company, notes }: ContactInput,
  managed: Pick<ContactRow, 'id' | 'version' | 'created_at' | 'updated_at'>,
): ContactRow {
  return {
    ...managed,
    organisation: organization,
    name,
    email,
    phone: phone || null,
    company: company || null,
    notes: notes || null,
    search_text: searchText(name, email, company),
  } satisfies ContactRow & EachField<unknown>;
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
