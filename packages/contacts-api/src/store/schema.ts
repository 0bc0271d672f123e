import { type Kysely, type Migration, SqliteAdapter, sql } from 'kysely';
import type { Action } from '../contact.ts';

/** A row of the table `contacts`. Absent fields are null; times are ISO 8601 text on both engines. */
export interface ContactRow {
  id: string;
  organisation: string;
  name: string;
  email: string;
  phone: string | null;
  company: string | null;
  notes: string | null;
  /** What is searched, and what a sort by name goes by; see `searchText`. */
  search_text: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** A row of the table `activity`: a change, written in the same transaction. */
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

/** The tables' history, oldest first. A migration that has shipped is never changed. */
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
      // PostgreSQL sorts by the rules of a language unless told to go by the characters, as SQLite does.
      const byCharacters = database.getExecutor().adapter instanceof SqliteAdapter;
      const text = byCharacters ? sql`text` : sql`text collate "C"`;
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

// Of each part as much is searched and sorted by; one character can stand for eighteen.
const MAX_PART = 200;

/**
 * A text as it is searched and sorted: without case and accents, the same on every engine.
 * "Émilie" is found as "emilie", and stands between "Emil" and "Emma".
 */
export function searchText(...parts: readonly (string | null | undefined)[]): string {
  return parts
    .filter((part) => !!part)
    .map((part) => fold(part as string).slice(0, MAX_PART))
    .join('\n')
    .replace(/\p{Cs}/gu, '');
}

function fold(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .normalize('NFC')
    .toUpperCase()
    .toLowerCase()
    .replaceAll('ς', 'σ');
}
