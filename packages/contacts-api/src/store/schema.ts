import { type Kysely, type Migration, SqliteAdapter, sql } from 'kysely';
import type { Action } from '../contact.ts';
import { searchText } from './search-text.ts';

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
interface ActivityRow {
  id: string;
  organisation: string;
  at: string;
  subject: string;
  client_id: string | null;
  action: Action;
  contact_id: string;
}

/** A row of the table `organizations`: the number of contacts that the API has created. */
interface OrganizationRow {
  organisation: string;
  contacts: number;
}

export interface Tables {
  contacts: ContactRow;
  activity: ActivityRow;
  organizations: OrganizationRow;
}

/** Columns of a `ContactRow`. A file has another one, the number in its index. */
export const CONTACT_COLUMNS = [
  'id',
  'organisation',
  'name',
  'email',
  'phone',
  'company',
  'notes',
  'search_text',
  'version',
  'created_at',
  'updated_at',
] as const satisfies readonly (keyof ContactRow)[];

const SORT_INDEXES = [
  ['contacts_by_search_text', 'search_text'],
  ['contacts_by_created_at', 'created_at'],
  ['contacts_by_updated_at', 'updated_at'],
] as const;

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
      const text = isFile(database) ? sql`text` : sql`text collate "C"`;
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
      await createSortIndexes(database);
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

  '0003_search_index': {
    async up(database: Kysely<Tables>) {
      await foldAgain(database);
      if (isFile(database)) {
        await numberContacts(database);
      } else {
        await sql`create table organizations (
          organisation text primary key, contacts integer not null)`.execute(database);
      }
      await sql`insert into organizations (organisation, contacts)
        select organisation, count(*) from contacts group by organisation`.execute(database);
      // The index that this step made is replaced by the next one.
    },
  },

  // The index of this step is replaced by the next one.
  '0004_search_blocks': { async up() {} },

  '0005_search_parts': {
    async up(database: Kysely<Tables>) {
      if (isFile(database)) await createFileIndex(database);
    },
  },

  '0006_search_pieces': {
    async up(database: Kysely<Tables>) {
      if (!isFile(database)) await createPostgresIndex(database);
    },
  },
};

/** Returns whether the database is a SQLite file. The other engine is PostgreSQL. */
export function isFile(database: Kysely<Tables>): boolean {
  return database.getExecutor().adapter instanceof SqliteAdapter;
}

async function createSortIndexes(database: Kysely<Tables>): Promise<void> {
  for (const [index, column] of SORT_INDEXES) {
    await database.schema
      .createIndex(index)
      .on('contacts')
      .columns(['organisation', column, 'id'])
      .execute();
  }
}

async function foldAgain(database: Kysely<Tables>): Promise<void> {
  let after = '';
  for (;;) {
    const rows = await database
      .selectFrom('contacts')
      .select(['id', 'name', 'email', 'company', 'search_text'])
      .where('id', '>', after)
      .orderBy('id')
      .limit(1000)
      .execute();
    for (const { id, name, email, company, search_text: old } of rows) {
      after = id;
      const search_text = searchText(name, email, company);
      if (search_text === old) continue;
      await database.updateTable('contacts').set({ search_text }).where('id', '=', id).execute();
    }
    if (rows.length === 0) return;
  }
}

/**
 * Gives each contact the number that the full-text index needs. `VACUUM` would change the numbers of
 * rows without such a column (SQLite, "ROWIDs and the INTEGER PRIMARY KEY").
 */
async function numberContacts(database: Kysely<Tables>): Promise<void> {
  const columns = sql.join(CONTACT_COLUMNS.map((column) => sql.ref(column)));
  await sql`alter table contacts rename to old_contacts`.execute(database);
  await sql`create table contacts (
    number integer primary key,
    id text not null unique,
    organisation text not null,
    name text not null,
    email text not null,
    phone text,
    company text,
    notes text,
    version integer not null,
    created_at text not null,
    updated_at text not null,
    search_text text not null
  )`.execute(database);
  await sql`insert into contacts (${columns})
    select ${columns} from old_contacts order by created_at`.execute(database);
  await sql`drop table old_contacts`.execute(database);
  await createSortIndexes(database);
  await sql`create table organizations (
    number integer primary key,
    organisation text not null unique,
    contacts integer not null
  )`.execute(database);
}

/*
 * The index of a search: all texts of one to three characters in a contact's search text, each with
 * its organization and its block, and the first two characters, the part of the block. An index of the
 * texts alone would let one organization slow down another, and could not be read in the order of the
 * list. The database fills the index, so that rows of an older version, or of an import, are in it.
 */

/** The code of the first character of a text, 0 of an empty one. SQLite has one for U+FFFD to U+FFFF. */
const codeOf = (text: string, isFile: boolean) =>
  isFile ? `ifnull(unicode(${text}), 0)` : `ascii(${text})`;

/**
 * The number of the block of a text: its first character, and beyond U+0FFF the first of 64 characters
 * with it. So blocks are in the order of the texts.
 */
export const blockOf = (text: string, isFile: boolean) => {
  const code = codeOf(text, isFile);
  return `case when ${code} < 4096 then ${code} else ${code} - ${code} % 64 end`;
};

/**
 * The entries of a row in the index of a file. One of a text is the number of the organization, `x`, the
 * text in hex, `x` and the block. The one of the part is the number, `y` and the part in hex.
 */
const FILE_ENTRIES = `
  with recursive positions(i) as (
    select 1 union all select i + 1 from positions where i < length(contacts.search_text)
  )
  select group_concat(distinct organizations.number || 'x'
    || hex(substr(contacts.search_text, i, sizes.column1)) || 'x' || block)
    || ',' || organizations.number || 'y' || hex(substr(contacts.search_text, 1, 2))
  from positions, (values (1), (2), (3)) as sizes,
    (select ${blockOf('search_text', true)} as block)
  where i + sizes.column1 - 1 <= length(contacts.search_text)`;

async function createFileIndex(database: Kysely<Tables>): Promise<void> {
  for (const trigger of ['contacts_created', 'contacts_updated', 'contacts_deleted']) {
    await sql`drop trigger if exists ${sql.ref(trigger)}`.execute(database);
  }
  for (const table of ['contact_grams', 'search_entries']) {
    await sql`drop table if exists ${sql.ref(table)}`.execute(database);
  }
  await sql`create virtual table search_entries using fts5(
    entries, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
  )`.execute(database);
  const add = (where: string) =>
    sql.raw(`
      insert into search_entries (rowid, entries)
      select contacts.number, (${FILE_ENTRIES})
      from contacts join organizations using (organisation) ${where};`);
  await add('').execute(database);
  const forNew = add('where contacts.number = new.number');
  const removeOld = sql`delete from search_entries where rowid = old.number;`;
  await sql`create trigger contacts_created after insert on contacts begin
    insert into organizations (organisation, contacts) values (new.organisation, 0)
      on conflict do nothing;
    ${forNew}
  end`.execute(database);
  await sql`create trigger contacts_updated after update of search_text on contacts
    when old.search_text <> new.search_text begin ${removeOld} ${forNew} end`.execute(database);
  await sql`create trigger contacts_deleted after delete on contacts begin ${removeOld} end`.execute(
    database,
  );
}

async function createPostgresIndex(database: Kysely<Tables>): Promise<void> {
  for (const [index, entries] of [
    ['contacts_by_gram', 'contact_grams'],
    ['contacts_by_entry', 'search_entries'],
  ]) {
    await sql.raw(`drop index if exists ${index}`).execute(database);
    await sql.raw(`drop function if exists ${entries}(text, text)`).execute(database);
  }
  // An entry is a hash. The seed of a text is the hash of organization and block. That of a part has -1
  // instead of the block, and that of a piece, the first eight characters, has -2. The extension pg_trgm
  // has no place for the organization, and needs rights to be created. The `offset` computes the seed once
  // for all texts.
  await sql`create function search_entries(organisation text, search_text text) returns bigint[]
    language sql immutable strict parallel safe as $$
      select array_agg(hashtextextended(left(part, size), seed))
        || hashtextextended(left(search_text, 2), hashtextextended(organisation, -1))
        || hashtextextended(left(search_text, 8), hashtextextended(organisation, -2))
      from (select hashtextextended(organisation, ${sql.raw(blockOf('search_text', false))}) as seed
        offset 0) as block,
        (select distinct substr(search_text, i, 3) as part
          from generate_series(1, length(search_text)) as i) as parts,
        generate_series(1, 3) as size
    $$`.execute(database);
  // A list of pending entries would be searched one by one.
  await sql`create index contacts_by_entry on contacts
    using gin (search_entries(organisation, search_text)) with (fastupdate = off)`.execute(
    database,
  );
}
