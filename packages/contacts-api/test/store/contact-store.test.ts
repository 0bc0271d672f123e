import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Kysely } from 'kysely';
import { organisationNamed, organisationOf } from '../../src/organisation.ts';
import { ContactStore } from '../../src/store/contact-store.ts';
import { migrate, openDatabase, type Tables } from '../../src/store/database.ts';
import { addDemoContacts } from '../../src/store/demo-contacts.ts';
import { engines, type TestDatabase } from '../databases.ts';

const acme = organisationNamed('acme');
const globex = organisationNamed('globex');

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
        await migrate(database);
        store = new ContactStore(database);
      });

      afterAll(async () => {
        await database.destroy();
        await testDatabase.drop();
      });

      test('a second migration finds nothing to do', async () => {
        expect(await migrate(database)).toEqual([]);
      });

      test('gives back what it was given, and leaves out what is absent', async () => {
        const created = await store.create(acme, {
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
        test('the file is for its owner alone', async () => {
          const path = testDatabase.url.slice('file:'.length);
          for (const file of [path, `${path}-wal`])
            expect((await stat(file)).mode & 0o777).toBe(0o600);
          expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
        });
      }

      test('shows an organisation nothing of another', async () => {
        const ours = await store.create(globex, { name: 'Emmy', email: 'emmy@example.com' });
        expect(await store.find(acme, ours.id)).toBeUndefined();
        expect((await store.list(acme, { limit: 100 })).map(({ id }) => id)).not.toContain(ours.id);
        expect((await store.list(globex, { limit: 100 })).map(({ id }) => id)).toEqual([ours.id]);
      });

      test('an organisation and a user of the same spelling share nothing', async () => {
        const user = organisationOf({
          payload: { iss: 'i', sub: 'acme', aud: 'a', exp: 1 },
          claims: { roles: [] },
        });
        expect(await store.list(user, { limit: 100 })).toEqual([]);
      });

      test('pages through all contacts once, in order of name', async () => {
        const paged = organisationNamed('paged');
        for (const name of ['C', 'A', 'B', 'A', 'D']) {
          await store.create(paged, { name, email: 'x@example.com' });
        }
        const seen: string[] = [];
        let after: { name: string; id: string } | undefined;
        for (let page = await store.list(paged, { limit: 2 }); page.length > 0; ) {
          seen.push(...page.map((contact) => contact.name));
          after = page.at(-1);
          page = await store.list(paged, { limit: 2, after });
        }
        expect(seen).toEqual(['A', 'A', 'B', 'C', 'D']);
      });

      test('a database that is away is a 503 that says when to come back', async () => {
        const missing = openDatabase('postgres://nobody@127.0.0.1:1/none');
        await expect(new ContactStore(missing).list(acme, { limit: 1 })).rejects.toMatchObject({
          code: 'ERR_STORE_UNAVAILABLE',
          status: 503,
          headers: { 'Retry-After': '2' },
        });
        await missing.destroy();
      });

      test('the demo contacts go to both organisations of the demo tenant', async () => {
        const before = (await store.list(acme, { limit: 100 })).length;
        await addDemoContacts(store);
        expect((await store.list(acme, { limit: 100 })).length).toBe(before + 3);
        expect((await store.list(globex, { limit: 100 })).length).toBeGreaterThanOrEqual(2);
      });
    },
  );
}
