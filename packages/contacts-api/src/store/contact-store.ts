import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Caller, Organization } from '../access-token.ts';
import type {
  Action,
  Activity,
  Contact,
  ContactInput,
  ContactSort,
  EachField,
} from '../contact.ts';
import { ApiError } from '../errors.ts';
import { ContactSearch } from './contact-search.ts';
import { storeCall } from './database.ts';
import type { Order, Page, PageRequest } from './page.ts';
import { CONTACT_COLUMNS, type ContactRow, type Tables } from './schema.ts';
import { searchText } from './search-text.ts';

export interface ContactQuery extends PageRequest {
  readonly sort: ContactSort;
  /** Text that the name, e-mail address or company contains. */
  readonly q?: string | undefined;
}

const SORT_COLUMNS = {
  name: 'search_text',
  created_at: 'created_at',
  updated_at: 'updated_at',
} as const;
const MAX_INTEGER = 2 ** 31 - 1;
/** An attempt fails only when another change came first: this many changes at once all succeed. */
const MAX_ATTEMPTS = 20;

/**
 * Stores the contacts of all organizations and the activity on them. Each method takes an
 * organization first, and uses only its data. A change and its activity are one transaction.
 */
export class ContactStore {
  readonly #database: Kysely<Tables>;
  readonly #search: ContactSearch;
  readonly #maxContacts: number;

  /** @param options.maxContacts maximum contacts of an organization; default: no maximum */
  constructor(database: Kysely<Tables>, { maxContacts = MAX_INTEGER } = {}) {
    this.#database = database;
    this.#search = new ContactSearch(database);
    this.#maxContacts = maxContacts;
  }

  /**
   * Lists contacts. A search of a large organization may return a short page, or an empty one, that has
   * a next page.
   *
   * @param subject the caller, who searches once at a time
   */
  async list(
    organization: Organization,
    { limit, sort, q, after }: ContactQuery,
    subject = '',
  ): Promise<Page<Contact>> {
    const order = orderOf(sort);
    const { column, direction } = order;
    const term = q && searchText(q);
    if (term) {
      const search = { organization, subject, term, order, limit, after };
      const { rows, end } = await this.#search.find(search);
      const { items, next = end } = toPage(rows, limit, column);
      return { items: items.map(toContact), next };
    }
    let query = this.#database
      .selectFrom('contacts')
      .select(CONTACT_COLUMNS)
      .where('organisation', '=', organization)
      .orderBy(column, direction)
      .orderBy('id', direction)
      .limit(limit + 1);
    if (after) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple(column, 'id'), direction === 'desc' ? '<' : '>', tuple(after.value, after.id)),
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

  /** @throws ApiError `ERR_TOO_MANY_CONTACTS` (409) when the organization has the maximum */
  async create(organization: Organization, by: Caller, input: ContactInput): Promise<Contact> {
    const now = new Date().toISOString();
    const managed = { id: randomUUID(), version: 1, created_at: now, updated_at: now };
    const row = toRow(organization, input, managed);
    await storeCall(
      this.#database.transaction().execute(async (transaction) => {
        await transaction.insertInto('contacts').values(row).execute();
        await recordActivity(transaction, organization, by, 'created', row.id);
        await this.#countContact(transaction, organization);
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
      await transaction
        .updateTable('organizations')
        .set(({ eb }) => ({ contacts: eb('contacts', '-', 1) }))
        .where('organisation', '=', organization)
        .where('contacts', '>', 0)
        .execute();
      return toContact(current);
    });
  }

  // The last statement of its transaction: on PostgreSQL others of the organization wait for it.
  async #countContact(transaction: Transaction<Tables>, organization: Organization): Promise<void> {
    const { numInsertedOrUpdatedRows } = await transaction
      .insertInto('organizations')
      .values({ organisation: organization, contacts: 1 })
      .onConflict((conflict) =>
        conflict
          .column('organisation')
          .doUpdateSet(({ eb }) => ({ contacts: eb('organizations.contacts', '+', 1) }))
          .where('organizations.contacts', '<', this.#maxContacts),
      )
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n) throw new ApiError('ERR_TOO_MANY_CONTACTS');
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
        .select(CONTACT_COLUMNS)
        .where('organisation', '=', organization)
        .where('id', '=', id)
        .executeTakeFirst(),
    );
  }
}

export function orderOf(sort: ContactSort): Order {
  return {
    column: SORT_COLUMNS[sort.replace('-', '') as keyof typeof SORT_COLUMNS],
    direction: sort.startsWith('-') ? 'desc' : 'asc',
  };
}

// An extra row shows that another page follows.
export function toPage<Column extends string, Row extends Record<Column | 'id', string>>(
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
