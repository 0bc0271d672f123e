import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import pg from 'pg';
import type { SessionStore } from '../../../src/session/session-store.ts';
import { type PostgresStoreOptions, postgresStore } from '../../../src/session/stores/postgres.ts';
import {
  dropTables,
  newTablePrefix,
  POSTGRES_URL,
  runSql,
  whyNoPostgres,
} from '../../support/postgres.ts';
import { countTogether } from '../../support/processes.ts';

const prefix = newTablePrefix();
const missing = await whyNoPostgres();
const later = () => Math.floor(Date.now() / 1000) + 100;
const session = (expiresAt = later()) => ({
  sealed: 'SEALED',
  about: 'about',
  expiresAt,
  startedAt: expiresAt,
  terms: ['user'],
});

const opened: SessionStore[] = [];

function open(options: PostgresStoreOptions = {}): SessionStore {
  const url = options.pool ? {} : { url: POSTGRES_URL };
  const store = postgresStore({ prefix, ...url, ...options });
  opened.push(store);
  return store;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

afterAll(async () => {
  if (!missing) await dropTables(prefix);
});

test.each([
  undefined,
  '',
  'postgres://',
  'http://user:PASSWORD@host',
  'user:PASSWORD@host:5432',
  '/PASSWORD',
])('refuses %j for a url, and does not repeat it', (url) => {
  const make = () => postgresStore({ url } as PostgresStoreOptions);
  expect(make).toThrow(InvalidOptions);
  expect(make).not.toThrow(/PASSWORD/);
});

test.each(['', 'A', 'a-', 'a"; DROP TABLE x; --', '1a', 'a'.repeat(32)])(
  'refuses %j for a prefix',
  (wrong) => {
    expect(() => postgresStore({ url: POSTGRES_URL, prefix: wrong })).toThrow(InvalidOptions);
  },
);

test('while the server is away each call rejects, without the password', async () => {
  const store = open({ url: 'postgres://user:PASSWORD@127.0.0.1:1/test' });
  const error = await store.read('a').catch((reason: Error) => reason);
  expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('PASSWORD');
});

(missing ? describe.skip : describe)(
  missing ? `with PostgreSQL: ${missing}` : 'with PostgreSQL',
  () => {
    test('lets what has expired go', async () => {
      const start = Date.now();
      const old = open({ now: () => start });
      await old.create('expired', session(start / 1000 + 10));
      await old.once('value', start / 1000 + 10);
      await old.recordEnd('user', start / 1000, start / 1000 + 10);
      const store = open({ now: () => start + 20_000 });
      await store.create('new', { ...session(start / 1000 + 100), terms: [] });
      const counts = ['sessions', 'terms', 'used_once', 'ends'].map(
        (table) => `(SELECT count(*)::integer FROM ${prefix}${table}) AS ${table}`,
      );
      const expected = { sessions: 1, terms: 0, used_once: 0, ends: 0 };
      expect(await runSql(`SELECT ${counts.join(', ')}`)).toEqual([expected]);
      await store.destroy('new');
    });

    test('a session that replaces an expired one has its own terms', async () => {
      const start = Date.now();
      await open({ now: () => start }).create('a', session(start / 1000 + 10));
      // Its purge is over before the other expires.
      let now = start;
      const store = open({ now: () => now });
      await store.once('x', start / 1000 + 1);
      now += 20_000;
      await store.create('a', { ...session(start / 1000 + 100), terms: ['other'] });
      expect(await store.list('user')).toEqual([]);
      expect(await store.list('other')).toHaveLength(1);
      await store.destroy('a');
    });

    test('a pool of one’s own is used, and left open', async () => {
      const pool = new pg.Pool({ connectionString: POSTGRES_URL });
      const store = open({ pool });
      await store.create('b', session());
      await store.close();
      expect((await pool.query(`SELECT key FROM ${prefix}sessions`)).rows).toEqual([{ key: 'b' }]);
      await store.destroy('b');
      await pool.end();
    });

    test('a user who may not make tables uses those that are there', async () => {
      await open().read('a');
      const user = `${prefix}user`;
      await runSql(
        `CREATE ROLE ${user} LOGIN PASSWORD 'x'`,
        `GRANT SELECT, INSERT, UPDATE, DELETE ON ${prefix}sessions, ${prefix}terms, ${prefix}used_once, ${prefix}ends TO ${user}`,
      );
      try {
        const url = new URL(POSTGRES_URL);
        Object.assign(url, { username: user, password: 'x' });
        const store = open({ url: url.href });
        await store.create('c', session());
        expect(await store.destroy('c')).toMatchObject({ sealed: 'SEALED' });
        await store.close();
        opened.pop();
      } finally {
        await runSql(`DROP OWNED BY ${user}`, `DROP ROLE ${user}`);
      }
    });

    test('what the server refuses is no way out for what it carried', async () => {
      const store = open();
      const wrong = { ...session(), sealed: 'SEALED\0' };
      const error = await store.create('d', wrong).catch((reason: Error) => reason);
      expect(error).toMatchObject({ message: expect.stringMatching(/^PostgreSQL: /) });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('SEALED');
    });

    test('connections that the server ends are made again', async () => {
      const store = open();
      await store.create('e', session());
      await runSql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND query LIKE '%${prefix}%'`,
      );
      while (!(await store.read('e').catch(() => undefined)));
      await store.destroy('e');
    });

    test('processes that start at once make the tables, share them, and lose nothing', async () => {
      const counting = newTablePrefix();
      const module = new URL('../../../dist/session/stores/postgres.js', import.meta.url).href;
      const options = JSON.stringify({ url: POSTGRES_URL, prefix: counting });
      await countTogether(module, `postgresStore(${options})`);
      await dropTables(counting);
    });
  },
);
