import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { postgresStore } from '@koa-oauth/client/postgres';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import got, { type Got, type Response } from 'got';
import {
  type ApiProcess,
  endApiProcesses,
  startApiProcess,
} from '../../packages/contacts-api/test/support/api-process.ts';
import { OwnPostgres, postgresPrograms } from '../faults/postgres.ts';
import { findProgram, Programs } from '../support/programs.ts';
import { freePorts } from '../support/services.ts';
import { testKey } from '../support/test-keys.ts';

const programs = {
  nginx: findProgram('nginx'),
  pgbouncer: findProgram('pgbouncer'),
  PostgreSQL: postgresPrograms(),
};
const missing = Object.entries(programs).flatMap(([name, path]) => (path ? [] : [name]));

type Page = Response<{ items: { name: string }[] }>;

const isRoot = process.getuid?.() === 0;
const running = new Programs();

// All users share the one connection to the API that stays open.
const nginxConfiguration = (folder: string, port: number, apiPort: number) => `
  ${isRoot ? 'user root;' : ''}
  daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr;
  events {}
  http {
    access_log off;
    ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
    gzip on; gzip_min_length 1; gzip_proxied any;
    gzip_types application/json application/problem+json;
    large_client_header_buffers 4 24k;
    upstream api { server 127.0.0.1:${apiPort}; keepalive 1; }
    server {
      listen 127.0.0.1:${port};
      client_max_body_size 1m;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      location /crm/ { proxy_pass http://api/; }
      location /unbuffered/ { proxy_request_buffering off; proxy_pass http://api/; }
    }
  }`;

const poolerConfiguration = (port: number, databasePort: number) => `
[databases]
* = host=127.0.0.1 port=${databasePort} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
query_wait_timeout = 4
server_login_retry = 1
`;

(missing.length > 0 ? describe.skip : describe)(
  `the API behind nginx and PgBouncer${missing.length > 0 ? `: no ${missing.join(', no ')}` : ''}`,
  () => {
    let folder: string;
    let issuer: TestIssuer;
    let postgres: OwnPostgres;
    let pooledURL: string;
    let origin: string;
    let api: Got;
    let services: ApiProcess[];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'behind-proxies-'));
      await chmod(folder, 0o755);
      issuer = await startTestIssuer({ keys: [testKey()] });
      const [databasePort, poolerPort, apiPort, proxyPort] = (await freePorts(4)) as [
        number,
        number,
        number,
        number,
      ];
      postgres = new OwnPostgres(programs.PostgreSQL as string, databasePort);
      await postgres.make();
      const poolerFile = join(folder, 'pgbouncer.ini');
      await writeFile(poolerFile, poolerConfiguration(poolerPort, databasePort));
      const asUser = isRoot ? ['-u', 'postgres'] : [];
      await running.start(poolerPort, programs.pgbouncer as string, ...asUser, poolerFile);
      pooledURL = `postgres://postgres@127.0.0.1:${poolerPort}/postgres`;
      origin = `http://127.0.0.1:${proxyPort}`;
      const environment = {
        BASE_URL: `${origin}/crm`,
        TRUST_PROXY: 'true',
        ISSUER_BASE_URL: issuer.issuer,
        NODE_ENV: 'production',
        LOG_LEVEL: 'silent',
      };
      // Both migrate the new database at once, one through the pooler.
      services = await Promise.all([
        startApiProcess({ ...environment, DATABASE_URL: pooledURL, PORT: String(apiPort) }),
        startApiProcess({ ...environment, DATABASE_URL: postgres.url }),
      ]);
      const nginxFile = join(folder, 'nginx.conf');
      await mkdir(join(folder, 'logs'));
      await writeFile(nginxFile, nginxConfiguration(folder, proxyPort, apiPort));
      await running.start(proxyPort, programs.nginx as string, '-p', folder, '-c', nginxFile);
      api = got.extend({
        prefixUrl: `${origin}/crm`,
        agent: { http: new Agent({ keepAlive: true }) },
        throwHttpErrors: false,
        retry: { limit: 0 },
        responseType: 'json',
        timeout: { request: 20_000 },
      });
    });

    afterAll(async () => {
      endApiProcesses();
      await running.end();
      await issuer?.close();
      await postgres?.remove();
      await rm(folder, { recursive: true, force: true });
    });

    const as = (subject: string, scope: string, organization = 'initech') => ({
      authorization: `Bearer ${issuer.token({
        sub: subject,
        aud: 'https://contacts.example.com/api',
        scope,
        'https://contacts.example.com/org_id': organization,
        'https://contacts.example.com/roles': ['admin'],
      })}`,
    });
    const every = 'read:contacts create:contacts update:contacts delete:contacts read:activity';
    const alice = (organization?: string) => as('alice', every, organization);
    const json = { name: 'Ada', email: 'ada@example.com' };

    test('a contact is created, read, changed and deleted at the addresses of its answers', async () => {
      const headers = alice();
      const created = await api.post('contacts', { headers, json });
      expect([created.statusCode, created.body]).toEqual([201, expect.objectContaining(json)]);
      const location = new URL(created.headers.location ?? '', created.url);
      expect(location.href).toMatch(new RegExp(`^${origin}/crm/contacts/[0-9a-f-]{36}$`));
      const options = { headers, prefixUrl: '' };

      const read = await api(location, options);
      // nginx weakens the tag of an answer that it compresses (RFC 9110 §8.8.1).
      const { etag = '' } = read.headers;
      expect([read.statusCode, etag, read.body]).toEqual([200, 'W/"1"', created.body]);
      const same = await api(location, {
        ...options,
        headers: { ...headers, 'if-none-match': etag },
      });
      expect(same.statusCode).toBe(304);

      const conditional = { ...options, headers: { ...headers, 'if-match': etag } };
      const changed = await api.patch(location, { ...conditional, json: { phone: '1' } });
      expect([changed.statusCode, changed.body]).toMatchObject([200, { phone: '1', version: 2 }]);
      const late = await api.put(location, { ...conditional, json });
      expect([late.statusCode, late.body]).toMatchObject([
        412,
        { code: 'ERR_PRECONDITION_FAILED' },
      ]);
      expect((await api.delete(location, options)).statusCode).toBe(204);
      expect((await api(location, options)).statusCode).toBe(404);
      const { body } = await api<{ items: { action: string }[] }>('activity', { headers });
      expect(body.items.map(({ action }) => action).sort()).toEqual([
        'created',
        'deleted',
        'updated',
      ]);
    });

    test.each<[string, number, string, () => Promise<{ statusCode: number; body: unknown }>]>([
      ['no token', 401, 'ERR_MISSING_TOKEN', () => api('contacts')],
      ['no scope', 403, 'ERR_INSUFFICIENT_SCOPE', () => api('contacts', { headers: as('a', '') })],
      [
        'an unknown id',
        404,
        'ERR_NOT_FOUND',
        () => api(`contacts/${randomUUID()}`, { headers: alice() }),
      ],
      [
        'a wrong field',
        422,
        'ERR_INVALID_INPUT',
        () => api.post('contacts', { headers: alice(), json: { name: '' } }),
      ],
      [
        'a long body',
        413,
        'ERR_UNREADABLE_BODY',
        () =>
          api.post('contacts', { headers: alice(), json: { ...json, notes: 'x'.repeat(500_000) } }),
      ],
    ])('%s is answered %i %s', async (_, status, code, ask) => {
      const { statusCode, body } = await ask();
      expect([statusCode, body]).toMatchObject([status, { status, code }]);
    });

    test('the links of a list lead through all pages', async () => {
      const headers = alice('paged');
      const names = Array.from({ length: 7 }, (_, index) => `Łukasz ${index}`);
      // More at once than the pooler has connections.
      const added = await Promise.all(
        names.map((name) => api.post('contacts', { headers, json: { ...json, name } })),
      );
      expect(added.map(({ statusCode }) => statusCode)).toEqual(names.map(() => 201));
      const seen: string[] = [];
      let next: string | undefined = `${origin}/crm/contacts?q=lukasz&limit=3`;
      while (next) {
        const page: Page = await api<Page['body']>(next, { headers, prefixUrl: '' });
        seen.push(...page.body.items.map(({ name }) => name));
        const link = /<([^>]+)>; rel="next"/.exec(String(page.headers.link))?.[1];
        next = link && new URL(link, page.url).href;
        if (next) expect(next).toMatch(new RegExp(`^${origin}/crm/contacts\\?`));
      }
      expect(seen).toEqual(names);
    });

    test('searches of many callers share the connections of the pooler', async () => {
      const asked = Array.from({ length: 40 }, (_, index) =>
        api<{ items: unknown[] }>(`contacts?q=${index % 2 ? 'ada' : `no one ${index}`}`, {
          headers: as(`caller ${index}`, 'read:contacts', 'searched'),
        }),
      );
      for (const { statusCode, body } of await Promise.all(asked)) {
        expect([statusCode, body]).toMatchObject([200, { items: [] }]);
      }
    });

    test.each(['crm', 'unbuffered'])(
      'a refused request with a body neither delays nor changes the answer to another user: /%s/',
      async (prefix) => {
        for (let round = 0; round < 5; round += 1) {
          const refused = api.post('contacts', {
            prefixUrl: `${origin}/${prefix}`,
            body: 'x'.repeat(300_000),
            headers: { 'content-type': 'application/json' },
          });
          expect((await refused).statusCode).toBe(401);
          const bob = await api('me', { headers: as('bob', '', `org-${round}`) });
          expect([bob.statusCode, bob.body]).toMatchObject([200, { subject: 'bob' }]);
        }
      },
    );

    test('sessions are stored through the pooler', async () => {
      const stores = Array.from({ length: 4 }, () => postgresStore({ url: pooledURL }));
      const startedAt = Math.floor(Date.now() / 1000);
      const times = { startedAt, expiresAt: startedAt + 600 };
      const session = { sealed: 'sealed', about: 'about', ...times, terms: ['term'] };
      const keys = Array.from({ length: 20 }, () => randomUUID());
      await Promise.all(keys.map((key, index) => stores[index % 4]?.create(key, session)));
      for (const key of keys) {
        expect(await stores[0]?.read(key)).toMatchObject({ sealed: 'sealed', version: 1 });
      }
      expect(await stores[1]?.list('term')).toHaveLength(keys.length);
      await Promise.all(stores.map((store) => store.close?.()));
    });

    test('both are answered 503 while PostgreSQL restarts, and normally after that', async () => {
      const headers = alice('restarting');
      const direct = services[1]?.api as Got;
      const both = () => Promise.all([api, direct].map((each) => each('contacts', { headers })));
      const statuses = async () => (await both()).map(({ statusCode }) => statusCode);
      expect(await statuses()).toEqual([200, 200]);
      await postgres.stop();
      for (const { statusCode, body } of await both()) {
        expect([statusCode, body]).toMatchObject([503, { code: 'ERR_STORE_UNAVAILABLE' }]);
      }
      expect((await api('healthz')).statusCode).toBe(200);
      await postgres.start();
      for (let tries = 0; tries < 20; tries += 1) {
        if ((await statuses()).every((status) => status === 200)) return;
        await after(500);
      }
      expect(await statuses()).toEqual([200, 200]);
    });
  },
);
