import { type Kysely, type Migration, SqliteAdapter, sql } from 'kysely';
import type { Action } from '../contact.ts';

/**
 * A row of the table `contacts`. An absent member is null. Times are ISO 8601 text. A new column needs
 * a migration below.
 */
export interface ContactRow {
  id: string;
  organisation: string;
  name: string;
  email: string;
  phone: string | null;
  company: string | null;
  notes: string | null;
  /** Text for the search and the sort by name; see `searchText`. */
  search_text: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** A row of the table `activity`, written in the transaction of the change. */
export interface ActivityRow {
  id: string;
  organisation: string;
  at: string;
  subject: string;
  client_id: string | null;
  action: Action;
  contact_id: string;
}

export interface Tables {
  contacts: ContactRow;
  activity: ActivityRow;
}

/** The migrations, oldest first. A published migration must never change. */
export const migrations: Record<string, Migration> = {
  '0001_contacts': {
    async up(database: Kysely<unknown>) {
      await database.schema
        .createTable('contacts')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('organisation', 'text', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('email', 'text', (column) => column.notNull())
        .addColumn('phone', 'text')
        .addColumn('company', 'text')
        .addColumn('notes', 'text')
        .addColumn('version', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'text', (column) => column.notNull())
        .addColumn('updated_at', 'text', (column) => column.notNull())
        .execute();
      await database.schema
        .createIndex('contacts_by_name')
        .on('contacts')
        .columns(['organisation', 'name', 'id'])
        .execute();
    },
  },

  '0002_search_and_activity': {
    async up(database: Kysely<Tables>) {
      // SQLite sorts by characters. PostgreSQL sorts by the rules of a language by default.
      const isSqlite = database.getExecutor().adapter instanceof SqliteAdapter;
      const text = isSqlite ? sql`text` : sql`text collate "C"`;
      await database.schema
        .alterTable('contacts')
        .addColumn('search_text', text, (column) => column.notNull().defaultTo(''))
        .execute();
      const rows = await database.selectFrom('contacts').selectAll().execute();
      for (const { id, name, email, company } of rows) {
        await database
          .updateTable('contacts')
          .set({ search_text: searchText(name, email, company) })
          .where('id', '=', id)
          .execute();
      }
      await database.schema.dropIndex('contacts_by_name').execute();
      for (const [index, column] of [
        ['contacts_by_search_text', 'search_text'],
        ['contacts_by_created_at', 'created_at'],
        ['contacts_by_updated_at', 'updated_at'],
      ] as const) {
        await database.schema
          .createIndex(index)
          .on('contacts')
          .columns(['organisation', column, 'id'])
          .execute();
      }
      await database.schema
        .createTable('activity')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('organisation', 'text', (column) => column.notNull())
        .addColumn('at', 'text', (column) => column.notNull())
        .addColumn('subject', 'text', (column) => column.notNull())
        .addColumn('client_id', 'text')
        .addColumn('action', 'text', (column) => column.notNull())
        .addColumn('contact_id', 'text', (column) => column.notNull())
        .execute();
      await database.schema
        .createIndex('activity_by_time')
        .on('activity')
        .columns(['organisation', 'at', 'id'])
        .execute();
    },
  },
};

/** Maximum characters of a part. Normalization turns one character into up to eighteen. */
const MAX_PART_LENGTH = 200;

/**
 * Returns a text in the form that is searched and sorted: without case and accents, the same on
 * every engine. "Émilie" is found as "emilie", and sorts between "Emil" and "Emma".
 */
export function searchText(...parts: readonly (string | null | undefined)[]): string {
  return parts
    .filter((part): part is string => !!part)
    .map((part) => part.normalize('NFKD').replace(/\p{M}/gu, '').normalize('NFC'))
    .map((part) => part.toUpperCase().toLowerCase().replaceAll('ς', 'σ').slice(0, MAX_PART_LENGTH))
    .join('\n')
    .replace(/\p{Cs}/gu, '');
}
