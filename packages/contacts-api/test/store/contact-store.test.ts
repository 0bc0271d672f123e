import { readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Kysely, Migrator, sql } from 'kysely';
import Database from 'libsql';
import { organizationNamed, organizationsOf } from '../../src/access-token.ts';
import type { ContactInput, ContactSort } from '../../src/contact.ts';
import { ContactStore } from '../../src/store/contact-store.ts';
import { migrate, openDatabase, storeCall } from '../../src/store/database.ts';
import { addDemoContacts } from '../../src/store/demo-contacts.ts';
import type { Position } from '../../src/store/page.ts';
import type { Tables } from '../../src/store/schema.ts';
import { migrations } from '../../src/store/schema.ts';
import { engines, type TestDatabase } from '../support/databases.ts';

const acme = organizationNamed('acme');
const globex = organizationNamed('globex');
const alice = { subject: 'auth0|alice', clientId: 'contacts-web' };
const all = { limit: 100, sort: 'name' } as const;

for (const { name, missing, create } of await engines()) {
  (missing ? describe.skip : describe)(
    `contact store on ${name}${missing ? `: ${missing}` : ''}`,
    () => {
      let testDatabase: TestDatabase;
      let database: Kysely<Tables>;
      let store: ContactStore;

      beforeAll(async () => {
        testDatabase = await create();
        database = openDatabase(testDatabase.url);
        await migrate(testDatabase.url);
        store = new ContactStore(database);
      });

      afterAll(async () => {
        await database.destroy();
        await testDatabase.drop();
      });

      test('a second migration changes nothing', async () => {
        expect(await migrate(testDatabase.url)).toEqual([]);
      });

      test('returns a stored contact without absent members', async () => {
        const created = await store.create(acme, alice, {
          name: 'Ada',
          email: 'ada@example.com',
          notes: '',
        });
        expect(created).toMatchObject({ name: 'Ada', email: 'ada@example.com', version: 1 });
        expect(created.created_at).toBe(created.updated_at);
        const found = await store.find(acme, created.id);
        expect(JSON.parse(JSON.stringify(found))).toEqual(JSON.parse(JSON.stringify(created)));
        expect(JSON.parse(JSON.stringify(found))).not.toHaveProperty('notes');
        expect(found).not.toHaveProperty('organisation');
      });

      if (name === 'libsql') {
        test('only the owner can read the file', async () => {
          const path = testDatabase.url.slice('file:'.length);
          for (const file of [path, `${path}-wal`])
            expect((await stat(file)).mode & 0o777).toBe(0o600);
          expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
        });
      }

      if (name === 'PostgreSQL') {
        test('asks only for what a pooler knows, and limits statements in a transaction', async () => {
          const changed = sql<{ name: string }>`
            select name from pg_settings where source in ('client', 'session')`;
          const namesOf = async (asked: Kysely<Tables>) =>
            (await changed.execute(asked)).rows.map((row) => row.name);
          const inTransaction = await database
            .transaction()
            .execute((transaction) => namesOf(transaction));
          expect(inTransaction).toContain('statement_timeout');
          // PgBouncer tracks these by default.
          for (const setting of await namesOf(database)) {
            expect(['application_name', 'client_encoding', 'DateStyle', 'TimeZone']).toContain(
              setting,
            );
          }
        });

        test('keeps the plans of searches, one of each statement', async () => {
          const own = openDatabase(testDatabase.url);
          const searched = new ContactStore(own);
          const counts: number[] = [];
          for (const q of ['ada', 'no one', 'ada', 'no one']) {
            await searched.list(acme, { ...all, q });
            // The connection is free after the rollback, for which a search does not wait.
            await setTimeout(100);
            const { rows } = await sql<{ kept: number }>`
              select count(*)::int as kept from pg_prepared_statements`.execute(own);
            counts.push(rows[0]?.kept ?? 0);
          }
          expect(counts[0]).toBeGreaterThan(0);
          expect(counts[3]).toBe(counts[1]);
          await own.destroy();
        });

        test('a connection whose kept plan does not fit any more is not used again', async () => {
          const own = openDatabase(testDatabase.url);
          const searched = new ContactStore(own);
          const search = async () => {
            // One connection: it is free after the rollback of the search before.
            await setTimeout(100);
            return searched.list(acme, { ...all, q: 'zzz' });
          };
          for (const change of [
            'alter table contacts alter column phone type varchar(99)',
            'alter table contacts alter column phone type text',
            // A pooler that is not noticed may clean a connection.
            'deallocate all',
          ]) {
            await search();
            await setTimeout(100);
            await sql.raw(change).execute(own);
            await expect(search()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
            expect(await search()).toEqual({ items: [], next: undefined });
          }
          await own.destroy();
        });

        test('a connection whose transaction did not end is not used again', async () => {
          const own = openDatabase(testDatabase.url);
          await own.connection().execute((connection) => sql`begin`.execute(connection));
          const { rows } = await sql<{ isOwn: boolean }>`
            select now() = statement_timestamp() as "isOwn"`.execute(own);
          expect(rows).toEqual([{ isOwn: true }]);
          await own.destroy();
        });

        test('a connection to a server that became a replica is not used again', async () => {
          const own = openDatabase(testDatabase.url);
          const changed = new ContactStore(own);
          const add = () => changed.create(acme, alice, { name: 'Rosa', email: 'r@example.com' });
          await add();
          await sql`set default_transaction_read_only = on`.execute(own);
          await expect(add()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
          const { id } = await add();
          await sql`set default_transaction_read_only = on`.execute(own);
          // A statement without a transaction of its own.
          const remove = () => own.deleteFrom('contacts').where('id', '=', id).execute();
          await expect(remove()).rejects.toMatchObject({ code: '25006' });
          await remove();
          await own.destroy();
        });

        test('a transaction that the server ends is an error that passes', async () => {
          // Its limits for a transaction: waiting for the next statement, and in all.
          for (const code of ['25P03', '25P04']) {
            const raised = sql.raw(`do $$ begin raise sqlstate '${code}'; end $$`);
            const answer = storeCall(raised.execute(database));
            await expect(answer).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
          }
        });

        test('processes that start at once migrate once', async () => {
          const fresh = await create();
          const runs = await Promise.all(Array.from({ length: 4 }, () => migrate(fresh.url)));
          expect(runs.flat()).toEqual(Object.keys(migrations));
          await fresh.drop();
        });
      }

      test('shows an organization no contact of another', async () => {
        const created = await store.create(globex, alice, {
          name: 'Emmy',
          email: 'emmy@example.com',
        });
        expect(await store.find(acme, created.id)).toBeUndefined();
        expect((await store.list(acme, all)).items.map(({ id }) => id)).not.toContain(created.id);
        expect((await store.list(globex, all)).items.map(({ id }) => id)).toEqual([created.id]);
      });

      test('an organization and a user of the same spelling share nothing', async () => {
        const user = organizationsOf('https://issuer.example.com/')({
          issuer: 'https://issuer.example.com/',
          payload: { iss: 'i', sub: 'acme', aud: 'a', exp: 1 },
          claims: { roles: [] },
        });
        expect((await store.list(user, all)).items).toEqual([]);
      });

      test.each<[ContactSort, string[]]>([
        ['name', ['a', 'A', 'B', 'c', 'Ć', 'D']],
        ['-name', ['D', 'Ć', 'c', 'B', 'A', 'a']],
        ['created_at', ['c', 'a', 'B', 'A', 'D', 'Ć']],
        ['-updated_at', ['Ć', 'D', 'A', 'B', 'a', 'c']],
      ])('pages through all contacts once, sorted by %s', async (sort, expected) => {
        const paged = organizationNamed(`paged by ${sort}`);
        for (const name of ['c', 'a', 'B', 'A', 'D', 'Ć']) {
          await store.create(paged, alice, { name, email: 'x@example.com' });
          // Two contacts must not have the same millisecond.
          await setTimeout(2);
        }
        const seen: string[] = [];
        let after: Position | undefined;
        do {
          const page = await store.list(paged, { limit: 2, sort, after });
          seen.push(...page.items.map((contact) => contact.name));
          after = page.next;
        } while (after);
        // Names that differ only in case and accents are adjacent, in any order.
        const plain = (names: string[]) =>
          names.map((each) => each.toLowerCase().replace('ć', 'c'));
        expect(plain(seen)).toEqual(plain(expected));
        expect([...seen].sort()).toEqual([...expected].sort());
      });

      test('a change and its activity are one transaction', async () => {
        const org = organizationNamed('watched');
        const { id } = await store.create(org, alice, { name: 'A', email: 'a@example.com' });
        const changed = await store.update(org, alice, id, (current) => ({
          ...current,
          name: 'B',
        }));
        expect(changed).toMatchObject({ id, name: 'B', version: 2 });
        const refuse = () => {
          throw new RangeError('no');
        };
        await expect(store.update(org, alice, id, refuse)).rejects.toThrow(RangeError);
        await expect(store.delete(org, alice, id, refuse)).rejects.toThrow(RangeError);
        expect(await store.update(globex, alice, id, refuse)).toBeUndefined();
        expect(await store.delete(globex, alice, id, refuse)).toBeUndefined();
        expect(await store.delete(org, alice, id, () => {})).toMatchObject({ name: 'B' });
        const { items } = await store.listActivity(org, { limit: 10 });
        expect(items.map(({ action }) => action).sort()).toEqual(['created', 'deleted', 'updated']);
        expect(items[0]).toMatchObject({
          subject: 'auth0|alice',
          client_id: 'contacts-web',
          contact_id: id,
        });
      });

      test('a change is not made when its activity can’t be written', async () => {
        const org = organizationNamed('unrecorded');
        const noSubject = { subject: null as unknown as string, clientId: undefined };
        const input = { name: 'A', email: 'a@example.com' };
        await expect(store.create(org, noSubject, input)).rejects.toThrow();
        const { id } = await store.create(org, alice, input);
        await expect(store.delete(org, noSubject, id, () => {})).rejects.toThrow();
        await expect(store.update(org, noSubject, id, () => input)).rejects.toThrow();
        expect((await store.list(org, all)).items).toMatchObject([{ id, version: 1 }]);
      });

      test('many changes at once lose none', async () => {
        const org = organizationNamed('busy');
        const { id } = await store.create(org, alice, { name: '0', email: 'a@example.com' });
        const increment = () =>
          store
            .update(org, alice, id, (current) => ({
              ...current,
              name: `${Number(current.name) + 1}`,
            }))
            .then(() => 1)
            .catch((error: { status: number }) => {
              // Other changes came first too often: 503, and nothing was changed.
              expect(error.status).toBe(503);
              return 0;
            });
        const done = await Promise.all(Array.from({ length: 8 }, increment));
        const acknowledged = done.reduce((sum, each) => sum + each, 0);
        expect(acknowledged).toBeGreaterThan(0);
        expect(await store.find(org, id)).toMatchObject({
          name: `${acknowledged}`,
          version: acknowledged + 1,
        });
      });

      test('two organizations with random operations each see only their own contacts', async () => {
        const input = fc.record({
          name: fc.constantFrom('Ada', 'ada', 'Émilie', '%', '_', 'x'),
          email: fc.constantFrom('a@example.com', 'b@example.com'),
        });
        const operation = fc.record({
          org: fc.constantFrom(0, 1),
          kind: fc.constantFrom('create', 'update', 'delete', 'find', 'foreign', 'list'),
          pick: fc.nat(20),
          input,
        });
        let run = 0;
        await fc.assert(
          fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
            run += 1;
            const orgs = [organizationNamed(`p${run}a`), organizationNamed(`p${run}b`)] as const;
            const models = [
              new Map<string, ContactInput>(),
              new Map<string, ContactInput>(),
            ] as const;
            for (const { org, kind, pick, input } of operations) {
              const [ours, model] = [orgs[org]!, models[org]!];
              const other = models[1 - org]!;
              const id = [...model.keys()][pick % Math.max(1, model.size)];
              const foreign = [...other.keys()][pick % Math.max(1, other.size)];
              if (kind === 'create') {
                model.set((await store.create(ours, alice, input)).id, input);
              } else if (kind === 'foreign' && foreign) {
                expect(await store.find(ours, foreign)).toBeUndefined();
                expect(await store.update(ours, alice, foreign, () => input)).toBeUndefined();
                expect(await store.delete(ours, alice, foreign, () => {})).toBeUndefined();
              } else if (kind === 'update' && id) {
                expect(await store.update(ours, alice, id, () => input)).toMatchObject(input);
                model.set(id, input);
              } else if (kind === 'delete' && id) {
                expect(await store.delete(ours, alice, id, () => {})).toMatchObject({ id });
                model.delete(id);
              } else if (kind === 'find' && id) {
                expect(await store.find(ours, id)).toMatchObject(model.get(id)!);
              }
            }
            for (const [index, model] of models.entries()) {
              const { items } = await store.list(orgs[index]!, all);
              const found = items.map(({ id, name, email }) => [id, { name, email }] as const);
              expect(new Map(found)).toEqual(model);
            }
          }),
          { seed: 4, numRuns: 40 },
        );
      });

      test('a database of the first version is migrated and can be searched', async () => {
        const old = await create();
        const first = openDatabase(old.url);
        const { error } = await new Migrator({
          db: first,
          provider: {
            getMigrations: async () => ({ '0001_contacts': migrations['0001_contacts']! }),
          },
        }).migrateToLatest();
        expect(error).toBeUndefined();
        const now = new Date().toISOString();
        await first
          .insertInto('contacts' as never)
          .values({
            id: 'i',
            organisation: 'org:acme',
            name: 'Émilie',
            email: 'e@example.com',
            version: 1,
            created_at: now,
            updated_at: now,
          } as never)
          .execute();
        expect(await migrate(old.url)).toEqual(Object.keys(migrations).slice(1));
        const { items } = await new ContactStore(first).list(acme, { ...all, q: 'emilie' });
        expect(items.map(({ name }) => name)).toEqual(['Émilie']);
        await first.destroy();
        await old.drop();
      });

      test('an unreachable database is a 503 with Retry-After', async () => {
        const missing = openDatabase('postgres://unknown@127.0.0.1:1/none');
        await expect(new ContactStore(missing).list(acme, all)).rejects.toMatchObject({
          code: 'ERR_STORE_UNAVAILABLE',
          status: 503,
          headers: { 'Retry-After': '2' },
        });
        await missing.destroy();
      });

      test('the demo contacts belong to both organizations of the demo tenant', async () => {
        const before = (await store.list(acme, all)).items.length;
        await addDemoContacts(store);
        expect((await store.list(acme, all)).items.length).toBe(before + 3);
        expect((await store.list(globex, all)).items.length).toBeGreaterThanOrEqual(2);
      });
    },
  );
}

test('while another program writes to the file, a change waits and reads go on', async () => {
  const [file] = await engines();
  const { url, drop } = await file!.create();
  await migrate(url);
  const [database, other] = [openDatabase(url), new Database(url.slice('file:'.length))];
  const store = new ContactStore(database);
  // Held by this very thread: a change that blocks it would wait in vain.
  other.exec('begin immediate');
  const created = store.create(acme, alice, { name: 'A', email: 'a@example.com' });
  expect((await store.list(acme, all)).items).toEqual([]);
  other.exec('commit');
  const contact = await created;
  expect((await store.list(acme, all)).items).toEqual([contact]);
  other.close();
  await database.destroy();
  await drop();
});

test('a query that stays prepared reads what is new, also after a failure', async () => {
  const [file] = await engines();
  const { url, drop } = await file!.create();
  await migrate(url);
  const [database, other] = [openDatabase(url), new Database(url.slice('file:'.length))];
  const read = async (json: string) => {
    const query = sql`select json_extract(${json}, '$.a') as a, notes.* from notes`;
    return (await query.execute(database)).rows;
  };
  other.exec('create table notes (b text)');
  expect(await read('{"a": 1}')).toEqual([]);
  other.exec(`insert into notes values ('first')`);
  expect(await read('{"a": 2}')).toEqual([{ a: 2, b: 'first' }]);
  await expect(read('{"a')).rejects.toThrow('malformed JSON');
  other.exec(`alter table notes add column c text; insert into notes values ('second', 'third')`);
  expect(await read('{"a": 3}')).toEqual([
    { a: 3, b: 'first', c: null },
    { a: 3, b: 'second', c: 'third' },
  ]);
  // A statement that is still open would keep the log from its end.
  expect(other.prepare('pragma wal_checkpoint(truncate)').get()).toMatchObject({ busy: 0 });
  // More queries than stay prepared.
  for (let count = 0; count < 150; count += 1) {
    const { rows } = await sql`select ${sql.lit(count)} as count`.execute(database);
    expect(rows).toEqual([{ count }]);
  }
  other.close();
  await database.destroy();
  // Libsql closes the file when no statement is left. SQLite then removes the log.
  setFlagsFromString('--expose-gc');
  const folder = dirname(url.slice('file:'.length));
  for (let count = 0; count < 50 && (await readdir(folder)).length > 1; count += 1) {
    runInNewContext('gc')();
    await setTimeout(10);
  }
  expect(await readdir(folder)).toEqual(['contacts.db']);
  await drop();
});
