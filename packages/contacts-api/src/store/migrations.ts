import type { Kysely, Migration } from 'kysely';

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
};
