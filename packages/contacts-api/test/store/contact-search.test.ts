import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openSqlite } from '@koa-oauth/service/sqlite';
import fc from 'fast-check';
import {
  type CompiledQuery,
  type Dialect,
  Kysely,
  type LogEvent,
  Migrator,
  PostgresDialect,
  SqliteDialect,
  sql,
} from 'kysely';
import pg from 'pg';
import { casesOf } from '../../../../test/support/properties.ts';
import { type Organization, organizationNamed } from '../../src/access-token.ts';
import { ContactSort } from '../../src/contact.ts';
import { ContactSearch } from '../../src/store/contact-search.ts';
import { ContactStore, orderOf, toPage } from '../../src/store/contact-store.ts';
import { migrate, openDatabase } from '../../src/store/database.ts';
import type { Position } from '../../src/store/page.ts';
import { type ContactRow, migrations, type Tables } from '../../src/store/schema.ts';
import { searchText } from '../../src/store/search-text.ts';
import { engines, type TestDatabase } from '../support/databases.ts';

/** First and last characters of the blocks of the index, and of the ranges of Unicode. */
const FIRST_CHARACTERS = [
  ...['\u0001', ' ', '9', 'a', 'a', 'b', 'z', '{', 'я', '\u0fff', '\u1000', '\u103f', '\u1040'],
  ...['\ud7bf', '\ud7ff', '\ue000', '\ue03f', '\ue040', '\uffff', '\u{10000}', '🐢', '\u{10ffff}'],
];

/**
 * Texts whose second character is one of the last, U+FFFF among them: SQLite reads it as U+FFFD. Then few
 * pieces of a part, one of them short, and many.
 */
const PARTS = [
  ['一 1', '一 2', '一\u{10ffff}', '丁 zoe'],
  ['\u{10ffff} 1', '\u{10ffff} 2', '\u{10ffff}a', '\u{10ffff}b zoe', '\u{10ffff}\u{10ffff} zoe'],
  [...Array.from({ length: 9 }, (_, index) => `a\uffff${index}`), 'b zoe'],
  [
    ...['ab', 'ab\u0001', 'ab', 'abc'],
    ...Array.from({ length: 9 }, () => 'abcdefgh zoe'),
    'abd zoe',
  ],
  Array.from({ length: 40 }, (_, index) => `abcdef${index}${index > 20 ? ' zoe' : ''}`),
];

/** Texts whose first two characters are the same. Only PostgreSQL divides their part. */
const PIECES = [
  ['name', 'maria ant', 'maria zoe'],
  ['-name', 'maria zzz', 'maria zoe'],
] as const;

/** The indexes of the migrations `0003_search_index` and `0005_search_parts`, in short. */
const OLD_INDEXES: Record<string, readonly string[]> = {
  libsql: [
    "create virtual table contact_grams using fts5(grams, content = '', contentless_delete = 1)",
    `create trigger contacts_created after insert on contacts begin
      insert into contact_grams (rowid, grams) values (new.number, 'old'); end`,
  ],
  PostgreSQL: [
    `create function contact_grams(organisation text, search_text text) returns bigint[]
      language sql immutable as 'select array[1::bigint]'`,
    'create index contacts_by_gram on contacts using gin (contact_grams(organisation, search_text))',
    `create function search_entries(organisation text, search_text text) returns bigint[]
      language sql immutable as 'select array[1::bigint]'`,
    'create index contacts_by_entry on contacts using gin (search_entries(organisation, search_text))',
  ],
};

const alice = { subject: 'auth0|alice', clientId: undefined };
/** Bounds that a few contacts exceed: each search takes all ways. */
const TIGHT = {
  ...{ minSliceRows: 2, firstSliceRows: 2, maxSliceRows: 3, maxBlocks: 2 },
  ...{ firstCandidates: 2, maxCandidates: 3 },
};

for (const { name, missing, create } of await engines()) {
  (missing ? describe.skip : describe)(`search on ${name}${missing ? `: ${missing}` : ''}`, () => {
    let testDatabase: TestDatabase;
    let database: Kysely<Tables>;
    let store: ContactStore;

    beforeAll(async () => {
      testDatabase = await create();
      database = openDatabase(testDatabase.url);
      await migrate(testDatabase.url);
      store = new ContactStore(database, { maxContacts: 50 });
    });

    afterAll(async () => {
      await database.destroy();
      await testDatabase.drop();
    });

    const add = (organization: Organization, name: string, company?: string) =>
      store.create(organization, alice, { name, email: 'x@y.example', company });

    const namesFound = async (organization: Organization, q: string) =>
      (await store.list(organization, { limit: 100, sort: 'name', q })).items.map(
        (contact) => contact.name,
      );

    /** Inserts rows without the store, as an import does. */
    const insertRows = async (organization: Organization, texts: readonly string[]) => {
      const rows = texts.map((text, index): ContactRow => {
        const time = new Date(index).toISOString();
        const absent = { phone: null, company: null, notes: null };
        const known = { id: randomUUID(), organisation: organization, name: text, email: 'x' };
        const managed = { version: 1, created_at: time, updated_at: time };
        return { ...absent, ...known, ...managed, search_text: searchText(text) };
      });
      for (let start = 0; start < rows.length; start += 500) {
        const part = rows.slice(start, start + 500);
        await database.insertInto('contacts').values(part).execute();
      }
    };

    test.each([
      ['lukasz', 'Łukasz Żółć'],
      ["d'arc", 'Jeanne d’Arc'],
      ['émilie', 'Emilie'],
      ['EMI', 'Emilie'],
      ['ż', 'Łukasz Żółć'],
      ['c”', '50% _ \\ " c"'],
      ['%', '50% _ \\ " c"'],
      ['_ \\', '50% _ \\ " c"'],
      ['小龙', '李小龙'],
      ['🐢', 'Slow 🐢'],
    ])('%s finds %s', async (q, expected) => {
      const organization = organizationNamed(`found by ${q}`);
      for (const name of ['Łukasz Żółć', 'Jeanne d’Arc', 'Emilie', '50% _ \\ " c"', '李小龙']) {
        await add(organization, name);
      }
      await add(organization, 'Slow 🐢');
      expect(await namesFound(organization, q)).toEqual([expected]);
      expect(await namesFound(organization, `${q}${q}`)).toEqual([]);
      expect(await namesFound(organizationNamed('other'), q)).toEqual([]);
    });

    test('pages of any term, order, size and start have each contact that contains it, once', async () => {
      const few = fc.string({ unit: fc.constantFrom(...'aab é'), maxLength: 7 });
      const first = fc.constantFrom(...FIRST_CHARACTERS);
      const text = fc.tuple(first, fc.oneof(first, few), few).map((parts) => parts.join(''));
      const term = fc.oneof(few, text, fc.constantFrom(...FIRST_CHARACTERS));
      let run = 0;
      const loose = {
        ...{ limit: 2, timeLimitMs: 1000, maxBlocks: 20, maxCandidates: 5 },
        frequentTermLength: 2,
      };
      await fc.assert(
        fc.asyncProperty(
          fc.array(text, { maxLength: 25 }),
          term.filter((q) => searchText(q) !== ''),
          fc.constantFrom(...ContactSort.options),
          fc.option(text),
          fc.record({
            ...{ limit: fc.integer({ min: 1, max: 4 }), timeLimitMs: fc.constantFrom(0, 1000) },
            ...{
              maxBlocks: fc.integer({ min: 1, max: 20 }),
              maxCandidates: fc.integer({ min: 1, max: 5 }),
              frequentTermLength: fc.integer({ min: 0, max: 4 }),
            },
          }),
          async (texts, q, sort, start, { limit, ...bounds }) => {
            run += 1;
            const organization = organizationNamed(`paged ${run}`);
            await insertRows(organization, texts);
            // PostgreSQL reads a limit of 0 as none.
            const search = new ContactSearch(database, { ...TIGHT, ...bounds });
            const [order, term] = [orderOf(sort), searchText(q)];
            const { column, direction } = order;
            const first = start && column === 'search_text' ? searchText(start) : undefined;
            const found: string[] = [];
            let after: Position | undefined =
              first === undefined ? undefined : { value: first, id: '' };
            do {
              const request = { organization, subject: 'a', term, order, limit, after };
              const { rows, end } = await search.find(request);
              const { items, next = end } = toPage(rows, limit, column);
              expect(items.length).toBeLessThanOrEqual(limit);
              found.push(...items.map((row) => row.id));
              after = next;
            } while (after);
            const { rows } = await sql<ContactRow>`
              select * from contacts where organisation = ${organization}`.execute(database);
            const place = (row: ContactRow) => Buffer.from(`${row[column]}\0${row.id}`);
            const isAfter = ({ search_text }: ContactRow) => {
              if (first === undefined) return true;
              const compared = Buffer.compare(Buffer.from(search_text), Buffer.from(first));
              return direction === 'asc' ? compared >= 0 : compared < 0;
            };
            const expected = rows
              .filter((row) => row.search_text.includes(term) && isAfter(row))
              .sort((a, b) => Buffer.compare(place(a), place(b)))
              .map((row) => row.id);
            expect(found).toEqual(direction === 'asc' ? expected : expected.reverse());
          },
        ),
        {
          ...{ seed: 5, numRuns: casesOf(1000) },
          examples: PARTS.map((texts) => [texts, 'zoe', 'name', null, loose]),
        },
      );
    });

    test.each([
      ['name', 'ant', '🐢 zoe'],
      ['-name', '\u{10ffff} ant', 'zoe'],
      ['name', 'ant', 'az zoe'],
      ['-name', 'az ant', 'ant zoe'],
      ['name', '李小', '李龙 zoe'],
      ...(name === 'libsql' ? [] : PIECES),
    ] as const)(
      'by %s, a text is found at once when it is not in %s, but in %s',
      async (sort, early, late) => {
        const organization = organizationNamed(`late by ${sort}: ${early}, ${late}`);
        const names = Array.from({ length: 200 }, (_, index) => `${early} ${index}`);
        // The first name of its block, or part of one, does not have the text.
        const ends = ['', '\u{10ffff}'].map((end) => late.replace('zoe', end));
        await insertRows(organization, [...names, ...names.map(() => late), ...ends]);
        const statements: LogEvent[] = [];
        const log = (event: LogEvent) => void statements.push(event);
        const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
        const search = new ContactSearch(watched, { ...TIGHT, maxBlocks: 9 });
        const request = { organization, subject: '', limit: 9, term: 'zoe', order: orderOf(sort) };
        const { rows } = await search.find(request);
        await watched.destroy();
        expect(rows.map((row) => row.name)).toEqual(Array.from({ length: 10 }, () => late));
        const reads = statements.filter(({ query }) => /^\s*(select|with)\b/.test(query.sql));
        // Slices alone need several times as many.
        expect(reads.length).toBeLessThan(20);
      },
    );

    test('a long term that only its end makes rare is found by the index', async () => {
      const organization = organizationNamed('rare at its end');
      const names = Array.from({ length: 300 }, (_, index) => `maria noether 1${100 + index}`);
      await insertRows(organization, names);
      const statements: LogEvent[] = [];
      const log = (event: LogEvent) => void statements.push(event);
      const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
      const bounds = { minSliceRows: 2, firstSliceRows: 2, maxSliceRows: 2, firstCandidates: 50 };
      const search = new ContactSearch(watched, bounds);
      const request = { organization, subject: '', limit: 9, order: orderOf('name') };
      const { rows } = await search.find({ ...request, term: 'maria noether 1399' });
      await watched.destroy();
      expect(rows.map((row) => row.name)).toEqual(['maria noether 1399']);
      const reads = statements.filter(({ query }) => /^\s*(select|with)\b/.test(query.sql));
      // The slice, the blocks, in a file the number of the organization, and the index.
      expect(reads.length).toBeLessThanOrEqual(4);
    });

    if (name === 'libsql') {
      test('a statement looks for few parts of a block, each in all entries of the block', async () => {
        const organization = organizationNamed('many parts');
        const seconds = Array.from({ length: 99 }, (_, index) =>
          String.fromCodePoint(0x4e00 + index),
        );
        await insertRows(
          organization,
          seconds.map((second) => `a${second}`),
        );
        const asked: number[] = [];
        const log = ({ query: { parameters } }: LogEvent) =>
          void asked.push(JSON.stringify(parameters).match(/\d+y[0-9a-f]+/g)?.length ?? 0);
        const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
        const search = new ContactSearch(watched, { minSliceRows: 2, firstSliceRows: 2 });
        const order = orderOf('name');
        await search.find({ organization, subject: '', limit: 9, term: 'zoe', order });
        await watched.destroy();
        expect(Math.max(...asked)).toBe(10);
      });
    }

    if (name === 'PostgreSQL') {
      test('a search whose transaction does not begin sends no statement but the rollback', async () => {
        const organization = organizationNamed('not begun');
        const names = Array.from({ length: 20 }, (_, index) => `ant ${index}`);
        await insertRows(organization, names);
        const statements: string[] = [];
        const log = ({ query }: LogEvent) =>
          void statements.push(query.sql.trim().replace(/ .*/s, ''));
        const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
        // A limit that PostgreSQL can't read.
        const search = new ContactSearch(watched, { ...TIGHT, timeLimitMs: -Infinity });
        const request = {
          organization,
          subject: '',
          limit: 9,
          term: 'zoe',
          order: orderOf('name'),
        };
        await expect(search.find(request)).rejects.toMatchObject({ code: '42601' });
        await watched.destroy();
        expect(statements).toEqual(['begin', 'rollback']);
      });
    }

    test('by date, a text of every twentieth contact fills a page without the index', async () => {
      const organization = organizationNamed('every twentieth');
      const names = Array.from({ length: 400 }, (_, index) =>
        index % 20 ? 'ant' : `zoe ${index}`,
      );
      await insertRows(organization, names);
      const asked: number[] = [];
      const log = ({ query: { sql: text, parameters } }: LogEvent) => {
        if (!text.includes('with entries')) return;
        asked.push(...parameters.filter((parameter) => typeof parameter === 'number'));
      };
      const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
      const bounds = { minSliceRows: 20, firstSliceRows: 20, firstCandidates: 1 };
      const search = new ContactSearch(watched, bounds);
      const request = { organization, subject: '', term: 'zoe', limit: 9 };
      for (const sort of ['created_at', '-updated_at'] as const) {
        const { rows } = await search.find({ ...request, order: orderOf(sort) });
        expect(rows).toHaveLength(10);
      }
      await watched.destroy();
      // The index would name twenty contacts, to be sorted by date.
      expect(asked).toContain(4);
      expect(Math.max(...asked)).toBeLessThan(20);
    });

    test('a long term is compared with few rows at once, as each can take long', async () => {
      const organization = organizationNamed('near a long term');
      const names = Array.from({ length: 60 }, (_, index) => `baaaaxaaaaaaaaaaaa ${index}`);
      await insertRows(organization, [...names, 'zz baaaaaaaaa']);
      const asked: number[] = [];
      const log = ({ query: { sql: text, parameters } }: LogEvent) => {
        if (!/with (?:entries|matches)/.test(text)) return;
        asked.push(...parameters.filter((parameter) => typeof parameter === 'number'));
      };
      const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
      const bounds = { comparedCharacters: 100, minSliceRows: 2, maxCandidates: 100 };
      const search = new ContactSearch(watched, { ...TIGHT, ...bounds });
      for (const sort of ['name', '-created_at'] as const) {
        const request = { organization, subject: '', term: 'baaaaaaaaa', limit: 1 };
        const { rows } = await search.find({ ...request, order: orderOf(sort) });
        expect(rows.map((row) => row.name)).toEqual(['zz baaaaaaaaa']);
      }
      await watched.destroy();
      // A row more than the maximum shows that the index names too many.
      expect(Math.max(...asked)).toBeLessThanOrEqual(11);
    });

    test('a search misses no contact while another one is deleted', async () => {
      const names = ['a 1', 'a 2', 'a 3 zoe', 'a 4', 'a 5'];
      for (let statement = 1; statement < 6; statement += 1) {
        const organization = organizationNamed(`deleting after ${statement}`);
        await insertRows(organization, names);
        let read = 0;
        const log = async ({ query }: LogEvent) => {
          read += /^\s*(select|with)\b/.test(query.sql) ? 1 : 0;
          if (read !== statement) return;
          await database
            .deleteFrom('contacts')
            .where('organisation', '=', organization)
            .where('name', '=', 'a 1')
            .execute();
        };
        const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
        const search = new ContactSearch(watched, TIGHT);
        const request = {
          organization,
          subject: '',
          term: 'zoe',
          order: orderOf('name'),
          limit: 9,
        };
        const { rows } = await search.find(request);
        await watched.destroy();
        expect(rows.map((row) => row.name)).toEqual(['a 3 zoe']);
      }
    });

    test('a changed contact is found by its new text only, a deleted one by none', async () => {
      const organization = organizationNamed('changing');
      const others = Array.from({ length: 9 }, (_, index) => `Other ${index}`);
      await insertRows(organization, others);
      const search = new ContactSearch(database, TIGHT);
      const found = async (term: string) => {
        const order = orderOf('name');
        const { rows } = await search.find({ organization, subject: '', term, order, limit: 9 });
        return rows.map((row) => row.name);
      };
      const { id } = await add(organization, 'Zacharias');
      expect(await found('zach')).toEqual(['Zacharias']);
      await store.update(organization, alice, id, (current) => ({ ...current, name: '李 Zoltan' }));
      expect([await found('zach'), await found('zol')]).toEqual([[], ['李 Zoltan']]);
      await store.update(organization, alice, id, (current) => ({ ...current, notes: 'same' }));
      expect(await found('zol')).toEqual(['李 Zoltan']);
      await store.delete(organization, alice, id, () => {});
      expect(await found('zol')).toEqual([]);
    });

    test('the index of an older version is replaced', async () => {
      const old = await create();
      const opened = openDatabase(old.url);
      const before = Object.fromEntries(Object.entries(migrations).filter(([key]) => key < '0005'));
      const provider = { getMigrations: async () => before };
      await new Migrator({ db: opened, provider }).migrateToLatest();
      for (const statement of OLD_INDEXES[name] ?? []) await sql.raw(statement).execute(opened);
      await migrate(old.url);
      const [migrated, organization] = [new ContactStore(opened), organizationNamed('old')];
      await migrated.create(organization, alice, { name: 'Zoe', email: 'x@y.example' });
      const { items } = await migrated.list(organization, { limit: 1, sort: 'name', q: 'zoe' });
      expect(items).toMatchObject([{ name: 'Zoe' }]);
      await opened.destroy();
      await old.drop();
    });

    test('an organization has a maximum of contacts, and another its own', async () => {
      const organization = organizationNamed('full');
      const created = await Promise.all(
        Array.from({ length: 50 }, (_, index) => add(organization, `${index}`)),
      );
      const refused = { status: 409, code: 'ERR_TOO_MANY_CONTACTS' };
      await expect(add(organization, 'one more')).rejects.toMatchObject(refused);
      expect(await namesFound(organization, 'one more')).toEqual([]);
      await add(organizationNamed('not full'), 'first');
      await store.delete(organization, alice, created[0]?.id ?? '', () => {});
      await add(organization, 'in the free place');
      await expect(add(organization, 'one more')).rejects.toMatchObject(refused);
    });

    test.each(ContactSort.options)(
      'no statement of a search by %s reads a whole table',
      async (sort) => {
        const organization = organizationNamed(`planned by ${sort}`);
        await insertRows(
          organization,
          Array.from({ length: 300 }, (_, index) => `row ${index}`),
        );
        const statements: CompiledQuery[] = [];
        const log = ({ query }: LogEvent) => void statements.push(query);
        const watched = new Kysely<Tables>({ dialect: dialectOf(testDatabase.url), log });
        const request = { organization, subject: '', limit: 9, order: orderOf(sort) };
        const search = new ContactSearch(watched, {
          ...TIGHT,
          firstCandidates: 200,
          maxCandidates: 200,
        });
        const pages = [
          await search.find({ ...request, term: 'row 29' }),
          await search.find({ ...request, term: 'none', after: { value: 'row 1', id: 'a' } }),
        ];
        expect(pages.map(({ rows }) => rows.length)).toEqual([10, 0]);
        const reads = statements.filter((query) => /^\s*(select|with)\b/.test(query.sql));
        expect(reads.length).toBeGreaterThan(3);
        const planOf = async (connection: Kysely<Tables>, read: CompiledQuery) => {
          if (name === 'libsql') {
            const asked = { ...read, sql: `explain query plan ${read.sql}` };
            return (await connection.executeQuery(asked)).rows;
          }
          // The plan for any term, as a connection keeps it.
          await sql.raw(`prepare kept as ${read.sql}`).execute(connection);
          const values = sql.raw(read.parameters.map(() => 'null').join());
          const { rows } = await sql`explain execute kept(${values})`.execute(connection);
          await sql`deallocate kept`.execute(connection);
          return rows;
        };
        await watched.connection().execute(async (connection) => {
          for (const read of [...statements]) {
            // A search does not wait for its rollback: it can be behind the next begin.
            if (read.sql === 'rollback') continue;
            if (!reads.includes(read)) {
              if (read.sql.startsWith('begin')) await sql`rollback`.execute(connection);
              await connection.executeQuery(read);
              // A server may have turned it off, and PostgreSQL 12 does not have it.
              if (read.sql.startsWith('begin')) {
                await sql`select set_config(name, 'off', true) from pg_settings
                  where name = 'enable_incremental_sort'`.execute(connection);
              }
              continue;
            }
            const text = JSON.stringify(await planOf(connection, read));
            expect(text).not.toMatch(/Seq Scan on contacts|SCAN contacts|SCAN organizations/);
            // Next to the cost of a sort that is turned off, those of two joins look the same.
            expect(text).not.toMatch(/(?:Loop|Join) +\(cost=\d{11}/);
            if (read.sql.includes('with entries')) expect(text).toMatch(/search_entries|by_entry/);
            else {
              expect(text).toMatch(/contacts_by_\w+|organizations/);
              // A bitmap has no order: all rows of the organization would be read and sorted.
              expect(text).not.toContain('Bitmap');
            }
          }
          if (name === 'PostgreSQL') await sql`rollback`.execute(connection);
        });
        await watched.destroy();
      },
    );
  });
}

function dialectOf(url: string): Dialect {
  return url.startsWith('file:')
    ? new SqliteDialect({ database: openSqlite(url.slice(5), { synchronous: 'NORMAL' }) })
    : new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) });
}
