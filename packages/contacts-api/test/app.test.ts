import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import got, { type Got, type OptionsOfJSONResponseBody } from 'got';
import type { Kysely } from 'kysely';
import { pino } from 'pino';
import { createApp } from '../src/app.ts';
import { organisationNamed } from '../src/organisation.ts';
import { ContactStore } from '../src/store/contact-store.ts';
import { migrate, openDatabase, type Tables } from '../src/store/database.ts';
import { engines, type TestDatabase } from './databases.ts';

const audience = 'https://contacts.example.com/api';
const namespace = 'https://contacts.example.com/';
const metadata = 'resource_metadata="http://localhost:3001/.well-known/oauth-protected-resource"';

let issuer: TestIssuer;
let testDatabase: TestDatabase;
let database: Kysely<Tables>;
let store: ContactStore;
let server: Server;
let api: Got;
let logged = '';
const logger = pino(
  { level: 'trace' },
  {
    write(line) {
      logged += line;
    },
  },
);

beforeAll(async () => {
  issuer = await startIssuer();
  testDatabase = await ((await engines())[0] as { create(): Promise<TestDatabase> }).create();
  database = openDatabase(testDatabase.url);
  await migrate(database);
  store = new ContactStore(database);
  const app = createApp({
    issuerBaseURL: issuer.issuer,
    audience,
    claimsNamespace: namespace,
    baseURL: 'http://localhost:3001',
    store,
    logger,
  });
  server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  api = got.extend({
    prefixUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    throwHttpErrors: false,
    retry: { limit: 0 },
    responseType: 'json',
  });
});

afterAll(async () => {
  server.close();
  await issuer.close();
  await database.destroy();
  await testDatabase.drop();
});

function token(scope: string, claims: Record<string, unknown> = {}): string {
  return issuer.token({
    sub: 'auth0|alice',
    aud: audience,
    scope,
    [`${namespace}org_id`]: 'acme',
    ...claims,
  });
}

const as = (accessToken: string) => ({ headers: { authorization: `Bearer ${accessToken}` } });
const ada = { name: 'Ada Lovelace', email: 'ada@example.com' };

describe('open routes', () => {
  test('GET /healthz', async () => {
    const { statusCode, body } = await api('healthz');
    expect([statusCode, body]).toEqual([200, { status: 'ok' }]);
  });

  test('GET /.well-known/oauth-protected-resource (RFC 9728 §3.2)', async () => {
    const { body } = await api('.well-known/oauth-protected-resource');
    expect(body).toMatchObject({ resource: audience, authorization_servers: [issuer.issuer] });
  });
});

describe('GET /me', () => {
  test('says what the API made of the token, and nothing of the token itself', async () => {
    const accessToken = token('read:contacts', {
      [`${namespace}roles`]: ['admin'],
      azp: 'contacts-web',
    });
    const { statusCode, body, rawBody } = await api('me', as(accessToken));
    expect(statusCode).toBe(200);
    expect(body).toEqual({
      subject: 'auth0|alice',
      client_id: 'contacts-web',
      scopes: ['read:contacts'],
      claims: { roles: ['admin'], org_id: 'acme' },
      expires_at: expect.stringMatching(/^20\d\d-/),
    });
    expect(rawBody.toString()).not.toContain(accessToken.split('.')[2]);
  });
});

describe('/contacts', () => {
  test('a contact created is found by its Location, in the list, and by nobody else', async () => {
    const created = await api.post('contacts', { ...as(token('create:contacts')), json: ada });
    expect(created.statusCode).toBe(201);
    expect(created.body).toMatchObject({ ...ada, id: expect.any(String), version: 1 });

    const location = created.headers.location?.slice(1) ?? '';
    const reader = as(token('read:contacts'));
    expect((await api(location, reader)).body).toEqual(created.body);
    expect((await api('contacts', reader)).body).toMatchObject({
      items: expect.arrayContaining([created.body]),
      next: null,
    });

    const stranger = as(token('read:contacts', { [`${namespace}org_id`]: 'globex' }));
    expect((await api(location, stranger)).statusCode).toBe(404);
    expect((await api('contacts', stranger)).body).toEqual({ items: [], next: null });
  });

  test('pages are bounded, linked (RFC 8288), and complete', async () => {
    for (const name of ['a', 'b', 'c']) {
      await store.create(organisationNamed('pages'), { name, email: 'x@example.com' });
    }
    const reader = as(token('read:contacts', { [`${namespace}org_id`]: 'pages' }));
    const first = await api<{ items: { name: string }[]; next: string }>(
      'contacts?limit=2',
      reader,
    );
    expect(first.body.items.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(first.headers.link).toBe(`</contacts?limit=2&cursor=${first.body.next}>; rel="next"`);
    const second = await api<{ items: { name: string }[] }>(
      `contacts?limit=2&cursor=${first.body.next}`,
      reader,
    );
    expect(second.body).toMatchObject({ items: [{ name: 'c' }], next: null });
  });
});

describe('refusals', () => {
  type Case = [
    name: string,
    request: () => [path: string, options?: OptionsOfJSONResponseBody],
    status: number,
    challenge?: string,
  ];
  const challenge = (error = '') => `Bearer realm="contacts", ${error && `${error}, `}${metadata}`;
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
  const cases: Case[] = [
    ['no credentials', () => ['contacts'], 401, challenge()],
    [
      'another scheme',
      () => ['contacts', { headers: { authorization: 'Basic YTpi' } }],
      401,
      challenge(),
    ],
    [
      'a token in the query',
      () => ['contacts?access_token=x', as(token('read:contacts'))],
      400,
      'error="invalid_request"',
    ],
    [
      'a token in a form',
      () => ['contacts', { method: 'POST', form: { access_token: token('create:contacts') } }],
      400,
      'error="invalid_request"',
    ],
    ['malformed credentials', () => ['contacts', as('a b')], 400, 'error="invalid_request"'],
    [
      'an expired token',
      () => ['contacts', as(token('read:contacts', { exp: 1 }))],
      401,
      'error="invalid_token"',
    ],
    [
      'a token for another API',
      () => ['contacts', as(token('read:contacts', { aud: 'other' }))],
      401,
      'error="invalid_token"',
    ],
    [
      'a token without the scope',
      () => ['contacts', { ...as(token('read:contacts')), method: 'POST', json: ada }],
      403,
      challenge(
        'error="insufficient_scope", error_description="this needs the scope create:contacts", scope="create:contacts"',
      ),
    ],
    [
      'an organisation that is no string',
      () => ['contacts', as(token('read:contacts', { [`${namespace}org_id`]: ['acme'] }))],
      403,
      challenge(),
    ],
    ['an unknown route', () => ['nothing'], 404],
    ['an unknown contact', () => ['contacts/42', as(token('read:contacts'))], 404],
    ['an id with a NUL', () => ['contacts/%00', as(token('read:contacts'))], 404],
    [
      'an unknown method on an unknown route',
      () => ['nothing', { method: 'PROPFIND' as 'GET' }],
      404,
    ],
    [
      'a token in a form behind a thousand others',
      () => [
        'contacts',
        { method: 'POST', body: `${'a=1&'.repeat(1500)}access_token=x`, headers: FORM },
      ],
      400,
      'error="invalid_request"',
    ],
    ['a path that is no UTF-8', () => ['contacts/%E0%A4%A', as(token('read:contacts'))], 404],
    ['a wrong limit', () => ['contacts?limit=0', as(token('read:contacts'))], 400],
    ['two limits', () => ['contacts?limit=1&limit=2', as(token('read:contacts'))], 400],
    ['an absurd cursor', () => ['contacts?cursor=%00', as(token('read:contacts'))], 400],
    ['no body', () => ['contacts', { ...as(token('create:contacts')), method: 'POST' }], 415],
    [
      'a form',
      () => ['contacts', { ...as(token('create:contacts')), method: 'POST', form: ada }],
      415,
    ],
    [
      'malformed JSON',
      () => ['contacts', { ...json(token('create:contacts')), method: 'POST', body: '{"name":' }],
      400,
    ],
    [
      'wrong fields',
      () => ['contacts', { ...as(token('create:contacts')), method: 'POST', json: { name: '' } }],
      422,
    ],
    [
      'a large body',
      () => [
        'contacts',
        { ...as(token('create:contacts')), method: 'POST', json: { name: 'x'.repeat(100_000) } },
      ],
      413,
    ],
  ];
  const json = (accessToken: string) => ({
    headers: { ...as(accessToken).headers, 'content-type': 'application/json' },
  });

  test.each(cases.map(([name, ...rest]) => ({ name, rest })))('$name', async ({ rest }) => {
    const [request, status, expected] = rest;
    const { statusCode, headers, body } = await api(...request());
    expect(statusCode).toBe(status);
    expect(headers['content-type']).toBe('application/problem+json');
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toMatchObject({ type: 'about:blank', status, title: expect.any(String) });
    if (expected === undefined) expect(headers['www-authenticate']).toBeUndefined();
    else expect(headers['www-authenticate']).toContain(expected);
  });

  test('a wrong method is answered with the right ones', async () => {
    const { statusCode, headers } = await api.delete('contacts');
    expect([statusCode, headers.allow]).toEqual([405, 'HEAD, GET, POST']);
  });

  test.each(['PROPFIND', 'PUT', 'TRACE'])('%s is no method of /contacts', async (method) => {
    const { statusCode, headers } = await api('contacts', { method: method as 'PUT' });
    expect([statusCode, headers.allow]).toEqual([405, 'HEAD, GET, POST']);
  });

  test('a target that is no URL is refused, and not a word of it is logged', async () => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    socket.end(
      'GET http://[/contacts?access_token=SECRET HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('application/problem+json');
    expect(logged).not.toContain('SECRET');
  });

  test('every field at fault is named', async () => {
    const answer = await api.post('contacts', {
      ...as(token('create:contacts')),
      json: { name: '', shoe: 44 },
    });
    expect(answer.body).toMatchObject({
      code: 'ERR_INVALID_INPUT',
      errors: expect.arrayContaining([
        { field: 'name', message: 'must not be empty' },
        { field: 'email', message: 'is required' },
        { field: 'shoe', message: 'is not a field of a contact' },
      ]),
    });
  });

  test('a fault of ours is a bare 500, whole in the log alone', async () => {
    const broken = createApp({
      issuerBaseURL: issuer.issuer,
      audience,
      claimsNamespace: namespace,
      baseURL: 'http://localhost:3001',
      store: {
        list: () => Promise.reject(new Error('table of secrets')),
      } as unknown as ContactStore,
      logger,
    });
    const own = createServer(broken.callback()).listen(0, '127.0.0.1');
    await once(own, 'listening');
    const prefixUrl = `http://127.0.0.1:${(own.address() as AddressInfo).port}`;
    const { statusCode, rawBody } = await api('contacts', {
      ...as(token('read:contacts')),
      prefixUrl,
    });
    own.close();
    expect(statusCode).toBe(500);
    expect(rawBody.toString()).not.toContain('secrets');
    expect(logged).toContain('table of secrets');
  });
});

test('no log line holds a token, a name or an address', () => {
  expect(logged).toContain('"path":"/contacts"');
  expect(logged).not.toMatch(/eyJ/);
  expect(logged).not.toContain('Lovelace');
  expect(logged).not.toContain('ada@example.com');
});
