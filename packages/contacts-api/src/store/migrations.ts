import { type Kysely, type Migration, SqliteAdapter, sql } from 'kysely';
import { searchText } from './search-text.ts';
import type { Tables } from './tables.ts';

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
