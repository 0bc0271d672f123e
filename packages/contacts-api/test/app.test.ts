import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { OptionsOfJSONResponseBody, Response } from 'got';
import type { Kysely } from 'kysely';
import * as oauth from 'oauth4webapi';
import { proves } from '../../../test/support/proves.ts';
import { organizationNamed } from '../src/access-token.ts';
import { type Contact, ContactInput } from '../src/contact.ts';
import { ContactStore } from '../src/store/contact-store.ts';
import type { Tables } from '../src/store/schema.ts';
import { audience, bearer, namespace, type RunningApp, startApp } from './support/running-app.ts';

const metadata = 'resource_metadata="http://localhost:3001/.well-known/oauth-protected-resource"';
const alice = { subject: 'auth0|alice', clientId: undefined };
const ALL = 'read:contacts create:contacts update:contacts delete:contacts read:activity';

let running: RunningApp;
let api: RunningApp['api'];
let token: RunningApp['token'];
let store: ContactStore;

beforeAll(async () => {
  running = await startApp();
  ({ api, token } = running);
  store = new ContactStore(running.database);
});
afterAll(() => running.close());

const ada = { name: 'Ada Lovelace', email: 'ada@example.com' };

describe('open routes', () => {
  test('GET /healthz answers ok', async () => {
    const { statusCode, body } = await api('healthz');
    expect([statusCode, body]).toEqual([200, { status: 'ok' }]);
  });

  test('GET /readyz answers 503 while the keys of the issuer are unavailable', async () => {
    expect((await api('readyz')).body).toEqual({ status: 'ok' });
    running.issuer.goDown();
    const cold = await startApp({ issuerBaseURL: running.issuer.issuer });
    const { statusCode, headers, body } = await cold.api('readyz');
    running.issuer.comeBack();
    await cold.close();
    expect([statusCode, headers['retry-after']]).toEqual([503, '2']);
    expect(body).toMatchObject({ code: 'ERR_ISSUER_UNAVAILABLE' });
  });

  test('GET /readyz asks the database once a second, however many ask, and in vain too', async () => {
    const probed = await startApp();
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'],
    });
    const { database } = probed;
    const getExecutor = database.getExecutor.bind(database);
    let checks = 0;
    let isAway = false;
    database.getExecutor = () => {
      checks += 1;
      if (isAway) throw Object.assign(new Error('away'), { code: 'SQLITE_BUSY' });
      return getExecutor();
    };
    const probe = async () => (await probed.api('readyz')).statusCode;
    const probes = () => Promise.all(Array.from({ length: 20 }, probe));
    expect(new Set(await probes())).toEqual(new Set([200]));
    expect([await probe(), checks]).toEqual([200, 1]);
    isAway = true;
    expect(await probe()).toBe(200);
    jest.advanceTimersByTime(1000);
    expect(new Set(await probes())).toEqual(new Set([503]));
    expect(checks).toBe(2);
    isAway = false;
    expect(await probe()).toBe(503);
    jest.advanceTimersByTime(1000);
    expect([await probe(), checks]).toEqual([200, 3]);
    // It is known at once that the process must stop.
    probed.app.markStopping();
    expect(await probe()).toBe(503);
    jest.useRealTimers();
    await probed.close();
  });

  test('GET /readyz answers 503 once the service must stop; other requests are still answered', async () => {
    const stopping = await startApp();
    stopping.app.markStopping();
    expect((await stopping.api('readyz')).body).toMatchObject({ code: 'ERR_NOT_READY' });
    const answer = await stopping.api('contacts', bearer(stopping.token('read:contacts')));
    await stopping.close();
    expect(answer.statusCode).toBe(200);
  });

  test('GET /.well-known/oauth-protected-resource answers the metadata (RFC 9728 §3.2)', async () => {
    const { body } = await api('.well-known/oauth-protected-resource');
    expect(body).toMatchObject({
      resource: audience,
      authorization_servers: [running.issuer.issuer],
    });
  });
});

describe('the public address', () => {
  const prefixed = (audience: string) =>
    startApp({ baseURL: 'https://api.example.com/crm', audience });
  const challengeOf = async ({ api }: RunningApp) => {
    const { headers } = await api('me');
    return /resource_metadata="([^"]*)"/.exec(headers['www-authenticate'] ?? '')?.[1];
  };

  test('with a path begins Location, Link, the OpenAPI server and the challenge', async () => {
    const running = await prefixed('contacts');
    const { api, issuer } = running;
    const claims = { sub: 'auth0|alice', aud: 'contacts', scope: ALL };
    const admin = { ...claims, [`${namespace}org_id`]: 'acme', [`${namespace}roles`]: ['admin'] };
    const user = bearer(issuer.token(admin));
    const locations = [];
    for (const _ of 'ab') {
      const { headers } = await api.post('contacts', { ...user, json: ada });
      locations.push(headers.location);
    }
    const links = [];
    for (const path of ['contacts?limit=1', 'activity?limit=1']) {
      links.push((await api(path, user)).headers.link);
    }
    const document = await api<{ servers: object[] }>('openapi.json');
    const challenge = await challengeOf(running);
    await running.close();
    for (const location of locations) expect(location).toMatch(/^\/crm\/contacts\/[\da-f-]{36}$/);
    expect(links[0]).toMatch(/^<\/crm\/contacts\?limit=1&cursor=[\w-]+>; rel="next"$/);
    expect(links[1]).toMatch(/^<\/crm\/activity\?limit=1&cursor=[\w-]+>; rel="next"$/);
    expect(document.body.servers).toEqual([{ url: 'https://api.example.com/crm' }]);
    expect(challenge).toBe('https://api.example.com/crm/.well-known/oauth-protected-resource');
  });

  test.each([
    ['https://api.example.com/crm', 'https://api.example.com', '/crm'],
    ['https://api.example.com/a:b/*(c)', 'https://api.example.com', '/a:b/*(c)'],
    ['https://api.example.com/', 'https://api.example.com', ''],
    ['https://elsewhere.example.com/api', 'https://api.example.com/crm', '/api'],
  ])('of the metadata of %s is made of it (RFC 9728 §3.1)', async (audience, base, path) => {
    const running = await prefixed(audience);
    const wellKnown = '.well-known/oauth-protected-resource';
    const answer = await running.api<object>(`${wellKnown}${path}`, {
      headers: { origin: 'https://page.example.com' },
    });
    const preflight = await running.api(`${wellKnown}${path}`, { method: 'OPTIONS' });
    const challenge = await challengeOf(running);
    const other = await running.api(`${wellKnown}${path}/other`);
    const { statusCode } = await running.api.post(`${wellKnown}${path}`);
    await running.close();
    expect([answer.statusCode, answer.body]).toEqual([
      200,
      expect.objectContaining({ resource: audience }),
    ]);
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(preflight.headers['access-control-allow-headers']).toBe('*');
    const isAtBase = new URL(audience).origin === new URL(base).origin;
    const suffix = isAtBase && base === 'https://api.example.com' ? path : '';
    expect(challenge).toBe(`${base}/${wellKnown}${suffix}`);
    expect([other.statusCode, statusCode]).toEqual([404, 405]);
  });
});

test.each(['api://default', 'urn:example:contacts', 'contacts'])(
  'the metadata of %s, which is no web address, is at the address of the API',
  async (audience) => {
    const { api, close } = await startApp({ baseURL: 'https://api.example.com', audience });
    const { headers } = await api('me');
    const { body } = await api<object>('.well-known/oauth-protected-resource');
    await close();
    const address = 'https://api.example.com/.well-known/oauth-protected-resource';
    expect(headers['www-authenticate']).toContain(`resource_metadata="${address}"`);
    expect(body).toMatchObject({ resource: audience });
  },
);

describe('a client that knows only the identifier finds the metadata (RFC 9728 §3)', () => {
  test.each([
    ['contacts-api', 'http://localhost:3001', 'http://localhost:3001'],
    ['a base with a path', 'https://api.example.com/crm', 'https://api.example.com/crm'],
    ['an API below its base', 'https://api.example.com', 'https://api.example.com/contacts/v1'],
    ['the demo', 'http://localhost:3001', audience],
  ])('of %s', async (_, baseURL, audience) => {
    const required = { required: true, algorithms: ['ES256'] } as const;
    const { api, close } = await startApp({ baseURL, audience, dpop: required });
    const resource = new URL(audience);
    const answer = await oauth.resourceDiscoveryRequest(resource, {
      [oauth.allowInsecureRequests]: true,
      // The name leads to this server, as DNS and a proxy would do.
      [oauth.customFetch]: (address, { headers }) => {
        const { pathname } = new URL(address);
        return fetch(new URL(pathname, String(api.defaults.options.prefixUrl)), { headers });
      },
    });
    const metadata = await oauth.processResourceDiscoveryResponse(resource, answer);
    await close();
    expect(metadata).toMatchObject({
      resource: audience,
      bearer_methods_supported: ['header'],
      resource_documentation: `${baseURL}/docs`,
      dpop_signing_alg_values_supported: ['ES256'],
      dpop_bound_access_tokens_required: true,
    });
  });
});

describe('GET /me', () => {
  test('answers the claims of the token, and no part of the token itself', async () => {
    proves('RFC 6750 §5.1 disclosure');
    const accessToken = token('read:contacts', {
      [`${namespace}roles`]: ['admin'],
      azp: 'contacts-web',
    });
    const { statusCode, body, rawBody } = await api('me', bearer(accessToken));
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
  test('a created contact is found by its Location and in the list, by its organization alone', async () => {
    proves('ASVS 10.3.2');
    const created = await api.post('contacts', { ...bearer(token('create:contacts')), json: ada });
    expect(created.statusCode).toBe(201);
    expect(created.body).toMatchObject({ ...ada, id: expect.any(String), version: 1 });

    const location = created.headers.location?.slice(1) ?? '';
    const reader = bearer(token('read:contacts'));
    expect((await api(location, reader)).body).toEqual(created.body);
    expect((await api('contacts', reader)).body).toMatchObject({
      items: expect.arrayContaining([created.body]),
      next: null,
    });

    const otherOrg = bearer(token('read:contacts', { [`${namespace}org_id`]: 'globex' }));
    expect((await api(location, otherOrg)).statusCode).toBe(404);
    expect((await api('contacts', otherOrg)).body).toEqual({ items: [], next: null });
  });

  test('every field comes back as it was sent, and a patch changes and removes each', async () => {
    const fields = Object.keys(ContactInput.shape) as (keyof ContactInput)[];
    // A field with a format needs a sample here.
    const sampleOf = (field: string, version: string) =>
      field === 'email' ? `${version}@example.com` : `${version} ${field}`;
    const filled = (version: string) =>
      Object.fromEntries(fields.map((field) => [field, sampleOf(field, version)]));
    const ofOrganization = bearer(token(ALL, { [`${namespace}org_id`]: 'fields' }));
    const expectStored = async (path: string, sent: object) => {
      const { body } = await api<Contact>(path, ofOrganization);
      const { id: _, version: __, created_at: ___, updated_at: ____, ...answered } = body;
      expect(answered).toEqual(sent);
      const list = await api<{ items: Contact[] }>('contacts', ofOrganization);
      expect(list.body.items).toEqual([body]);
    };

    const created = await api.post<Contact>('contacts', { ...ofOrganization, json: filled('a') });
    expect(created.statusCode).toBe(201);
    const path = `contacts/${created.body.id}`;
    await expectStored(path, filled('a'));
    await api.put(path, { ...ofOrganization, json: filled('b') });
    await expectStored(path, filled('b'));

    const expected = filled('b');
    for (const field of fields) {
      expected[field] = sampleOf(field, 'c');
      await api.patch(path, { ...ofOrganization, json: { [field]: expected[field] } });
      await expectStored(path, expected);
    }
    for (const field of fields.filter(
      (each) => ContactInput.shape[each].safeParse(undefined).success,
    )) {
      delete expected[field];
      await api.patch(path, { ...ofOrganization, json: { [field]: null } });
      await expectStored(path, expected);
    }
    expect(Object.keys(expected)).toEqual(['name', 'email']);
  });

  test('pages are bounded, complete, and linked (RFC 8288)', async () => {
    for (const name of ['a', 'b', 'c']) {
      await store.create(organizationNamed('pages'), alice, { name, email: 'x@example.com' });
    }
    const reader = bearer(token('read:contacts', { [`${namespace}org_id`]: 'pages' }));
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

describe('one contact', () => {
  const create = async () => {
    const json = { ...ada, phone: '+44 1', notes: 'first' };
    const { body, headers } = await api.post<{ id: string }>('contacts', {
      ...bearer(token(ALL)),
      json,
    });
    return { path: `contacts/${body.id}`, etag: headers.etag ?? '', body };
  };
  const send = (
    method: 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    json?: object,
    headers: Record<string, string> = {},
  ) =>
    api(path, {
      method,
      ...(json && { json }),
      headers: { ...bearer(token(ALL)).headers, ...headers },
    });

  test('an id in upper case is the same id (RFC 9562 §4)', async () => {
    const { path, body } = await create();
    const upper = `contacts/${body.id.toUpperCase()}`;
    expect((await api(upper, bearer(token(ALL)))).body).toEqual(body);
    expect((await send('PUT', upper, ada)).statusCode).toBe(200);
    expect((await send('PATCH', upper, {})).statusCode).toBe(200);
    expect((await send('DELETE', upper)).statusCode).toBe(204);
    expect((await api(path, bearer(token(ALL)))).statusCode).toBe(404);
    const admin = token(ALL, { [`${namespace}roles`]: ['admin'] });
    const { body: activity } = await api<{ items: object[] }>('activity?limit=1', bearer(admin));
    expect(activity.items).toEqual([expect.objectContaining({ contact_id: body.id })]);
  });

  test('PUT replaces all of it and removes absent members', async () => {
    const { path } = await create();
    const { statusCode, body, headers } = await send('PUT', path, { ...ada, company: 'Engines' });
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({ ...ada, company: 'Engines', version: 2 });
    expect(body).not.toHaveProperty('phone');
    expect(headers.etag).toBe('"2"');
  });

  // A media type is case-insensitive (RFC 9110 §8.3.1).
  test.each(['application/merge-patch+json', 'application/json', 'Application/JSON'])(
    'PATCH changes named members and removes null ones (RFC 7396, %s)',
    async (type) => {
      const { path } = await create();
      const headers = { 'content-type': type };
      const { statusCode, body } = await send('PATCH', path, { name: 'A', phone: null }, headers);
      expect(statusCode).toBe(200);
      expect(body).toMatchObject({ name: 'A', email: ada.email, notes: 'first', version: 2 });
      expect(body).not.toHaveProperty('phone');
    },
  );

  test('an empty PATCH changes only the version', async () => {
    const { path, body } = await create();
    expect((await send('PATCH', path, {})).body).toMatchObject({
      ...body,
      version: 2,
      updated_at: expect.any(String),
    });
  });

  test('DELETE removes it', async () => {
    const { path } = await create();
    expect((await send('DELETE', path)).statusCode).toBe(204);
    expect((await send('DELETE', path)).statusCode).toBe(404);
    expect((await api(path, bearer(token(ALL)))).statusCode).toBe(404);
  });

  test.each(['PUT', 'PATCH', 'DELETE'] as const)(
    '%s with If-Match changes only the named state (RFC 9110 §13.1.1)',
    async (method) => {
      const { path, etag } = await create();
      const json = method === 'DELETE' ? undefined : ada;
      for (const ifMatch of ['"7"', '""', 'W/"7"', '1', '"1', ',', '"7", "8"']) {
        const { statusCode, body } = await send(method, path, json, { 'if-match': ifMatch });
        expect([ifMatch, statusCode]).toEqual([ifMatch, 412]);
        expect(body).toMatchObject({ code: 'ERR_PRECONDITION_FAILED' });
      }
      expect((await api(path, bearer(token(ALL)))).headers.etag).toBe(etag);
      const answer = await send(method, path, json, { 'if-match': `"9", ${etag}` });
      expect(answer.statusCode).toBe(json ? 200 : 204);
      expect((await send(method, path, json, { 'if-match': etag })).statusCode).toBe(
        json ? 412 : 404,
      );
    },
  );

  test('If-Match * accepts any state, and a deleted contact has none', async () => {
    const { path } = await create();
    expect((await send('PUT', path, ada, { 'if-match': '*' })).statusCode).toBe(200);
    await send('DELETE', path);
    expect((await send('PUT', path, ada, { 'if-match': '*' })).statusCode).toBe(404);
  });

  test('GET with If-None-Match answers 304 until the contact changes (RFC 9110 §13.1.2)', async () => {
    const { path, etag } = await create();
    const read = () =>
      api(path, { headers: { ...bearer(token(ALL)).headers, 'if-none-match': etag } });
    const same = await read();
    expect([same.statusCode, same.rawBody.length, same.headers.etag]).toEqual([304, 0, etag]);
    await send('PATCH', path, { name: 'B' });
    expect(await read()).toMatchObject({ statusCode: 200, body: { name: 'B' } });
  });

  test.each(['cache-control', 'pragma'])('%s: no-cache of fetch keeps the 304', async (name) => {
    const { path, etag } = await create();
    const { authorization } = bearer(token(ALL)).headers;
    const headers = { authorization, 'if-none-match': etag, [name]: 'no-cache' };
    expect((await api(path, { headers })).statusCode).toBe(304);
    expect((await api.head(path, { headers })).statusCode).toBe(304);
  });

  test('a tag that a compressing proxy has weakened still names the state', async () => {
    const { path, etag } = await create();
    const read = { ...bearer(token(ALL)).headers, 'if-none-match': `W/${etag}` };
    expect((await api(path, { headers: read })).statusCode).toBe(304);
    const written = await send('PATCH', path, { name: 'B' }, { 'if-match': `W/${etag}` });
    expect(written.statusCode).toBe(200);
    const again = await send('PATCH', path, { name: 'C' }, { 'if-match': `W/${etag}` });
    expect(again.statusCode).toBe(412);
    const { statusCode } = await api(path, {
      headers: { ...bearer(token(ALL)).headers, 'if-match': etag },
    });
    expect(statusCode).toBe(412);
  });

  test('a patch of a required field with null is rejected and changes nothing', async () => {
    const { path, etag } = await create();
    const { statusCode, body } = await send('PATCH', path, { name: null, shoe: 1 });
    expect(statusCode).toBe(422);
    expect(body).toMatchObject({
      errors: expect.arrayContaining([
        expect.objectContaining({ field: 'name' }),
        { field: 'shoe', message: 'is unknown: remove it' },
      ]),
    });
    expect((await api(path, bearer(token(ALL)))).headers.etag).toBe(etag);
  });
});

describe('a list', () => {
  const reader = () => bearer(token('read:contacts', { [`${namespace}org_id`]: 'lists' }));
  const names = async (query: string) => {
    const { body } = await api<{ items: { name: string }[] }>(`contacts?${query}`, reader());
    return body.items.map(({ name }) => name);
  };

  beforeAll(async () => {
    const lists = organizationNamed('lists');
    for (const [name, company] of [
      ['Émilie', 'Châtelet'],
      ['emma', '100% Sure_Ltd'],
      ['Zoe', 'Engines'],
      ['Adam', undefined],
    ] as const) {
      const email = `${name.at(0)?.toLowerCase()}@example.com`;
      await store.create(lists, alice, { name, email, company });
    }
  });

  test('is sorted by name, ignoring case and accents, or by another field', async () => {
    expect(await names('')).toEqual(['Adam', 'Émilie', 'emma', 'Zoe']);
    expect(await names('sort=-name')).toEqual(['Zoe', 'emma', 'Émilie', 'Adam']);
    expect((await names('sort=created_at')).length).toBe(4);
  });

  test.each([
    ['emil', ['Émilie']],
    ['EM', ['Émilie', 'emma']],
    ['chatelet', ['Émilie']],
    ['z@example', ['Zoe']],
    ['%25', ['emma']],
    ['_', ['emma']],
    ['%5C', []],
    ["'%3B drop table contacts%3B --", []],
  ])('q=%s searches name, address and company', async (q, expected) => {
    expect(await names(`q=${q}`)).toEqual(expected);
  });

  test('names that normalization makes much longer have a next page too', async () => {
    const org = organizationNamed('unfolding');
    for (const name of ['ﷺ'.repeat(200), '한'.repeat(200), '\u{1d518}'.repeat(100)]) {
      await store.create(org, alice, { name, email: 'a@example.com', company: name });
    }
    const unfolding = bearer(token('read:contacts', { [`${namespace}org_id`]: 'unfolding' }));
    let path: string | undefined = 'contacts?limit=1';
    let seen = 0;
    while (path !== undefined) {
      const { statusCode, headers }: Pick<Response, 'statusCode' | 'headers'> = await api(
        path,
        unfolding,
      );
      expect(statusCode).toBe(200);
      seen += 1;
      path = /<\/(.*)>; rel="next"/.exec(String(headers.link))?.[1];
    }
    expect(seen).toBe(3);
  });

  test('keeps search and sort from page to page', async () => {
    const first = await api<{ next: string }>('contacts?limit=1&q=em&sort=-name', reader());
    const link = /<\/(.*)>; rel="next"/.exec(String(first.headers.link))?.[1] ?? '';
    expect(new URLSearchParams(link.split('?')[1]).get('q')).toBe('em');
    const second = await api<{ items: { name: string }[]; next: null }>(link, reader());
    expect(second.body).toMatchObject({ items: [{ name: 'Émilie' }], next: null });
  });

  test('a cursor of another sort is rejected', async () => {
    const { body } = await api<{ next: string }>('contacts?limit=1', reader());
    const { statusCode } = await api(`contacts?sort=-name&cursor=${body.next}`, reader());
    expect(statusCode).toBe(400);
  });
});

describe('GET /activity', () => {
  test('lists who changed what, newest first, for administrators of the organization', async () => {
    const org = { [`${namespace}org_id`]: 'watched', azp: 'contacts-web' };
    const writer = bearer(token(ALL, org));
    const { body } = await api.post<{ id: string }>('contacts', { ...writer, json: ada });
    await api.patch(`contacts/${body.id}`, { ...writer, json: { name: 'B' } });
    await api.patch(`contacts/${body.id}`, { ...writer, json: { name: '' } });
    await api.delete(`contacts/${body.id}`, writer);

    const admin = bearer(token(ALL, { ...org, [`${namespace}roles`]: ['admin'] }));
    const { body: page } = await api<{ items: object[]; next: string }>('activity?limit=2', admin);
    const entry = {
      id: expect.any(String),
      at: expect.stringMatching(/^20.*Z$/),
      subject: 'auth0|alice',
      client_id: 'contacts-web',
      contact_id: body.id,
    };
    expect(page.items).toEqual([
      { ...entry, action: 'deleted' },
      { ...entry, action: 'updated' },
    ]);
    const { body: rest } = await api(`activity?limit=2&cursor=${page.next}`, admin);
    expect(rest).toEqual({ items: [{ ...entry, action: 'created' }], next: null });
    const otherOrg = bearer(token(ALL, { [`${namespace}roles`]: ['admin'] }));
    const { body: foreign } = await api<{ items: { contact_id: string }[] }>('activity', otherOrg);
    expect(foreign.items.map(({ contact_id }) => contact_id)).not.toContain(body.id);
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
  const unauthenticated = challenge('scope="read:contacts"');
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
  const cases: Case[] = [
    ['no credentials', () => ['contacts'], 401, unauthenticated],
    [
      'another scheme',
      () => ['contacts', { headers: { authorization: 'Basic YTpi' } }],
      401,
      unauthenticated,
    ],
    [
      'a token in the query',
      () => ['contacts?access_token=x', bearer(token('read:contacts'))],
      400,
      'error="invalid_request"',
    ],
    [
      'a token in a form',
      () => ['contacts', { method: 'POST', form: { access_token: token('create:contacts') } }],
      400,
      'error="invalid_request"',
    ],
    ['malformed credentials', () => ['contacts', bearer('a b')], 400, 'error="invalid_request"'],
    [
      'an expired token',
      () => ['contacts', bearer(token('read:contacts', { exp: 1 }))],
      401,
      'error="invalid_token"',
    ],
    [
      'a token for another API',
      () => ['contacts', bearer(token('read:contacts', { aud: 'other' }))],
      401,
      'error="invalid_token"',
    ],
    [
      'a token without the scope',
      () => ['contacts', { ...bearer(token('read:contacts')), method: 'POST', json: ada }],
      403,
      challenge(
        'error="insufficient_scope", error_description="this needs the scope create:contacts", scope="create:contacts"',
      ),
    ],
    [
      'an organization that is not a string',
      () => ['contacts', bearer(token('read:contacts', { [`${namespace}org_id`]: ['acme'] }))],
      403,
      challenge(),
    ],
    ['an unknown route', () => ['nothing'], 404],
    ['an unknown contact', () => ['contacts/42', bearer(token('read:contacts'))], 404],
    ['an id with a NUL', () => ['contacts/%00', bearer(token('read:contacts'))], 404],
    [
      'an unknown method on an unknown route',
      () => ['nothing', { method: 'PROPFIND' as 'GET' }],
      404,
    ],
    [
      'a token in a form after a thousand parameters',
      () => [
        'contacts',
        { method: 'POST', body: `${'a=1&'.repeat(1500)}access_token=x`, headers: FORM },
      ],
      400,
      'error="invalid_request"',
    ],
    ['a path that is not UTF-8', () => ['contacts/%E0%A4%A', bearer(token('read:contacts'))], 404],
    ['a wrong limit', () => ['contacts?limit=0', bearer(token('read:contacts'))], 400],
    [
      'a charset that JSON does not have (RFC 8259 §8.1)',
      () => ['contacts', { ...typed('application/json; charset=latin1'), body: '{}' }],
      415,
    ],
    [
      'an unknown encoding',
      () => [
        'contacts',
        { ...typed('application/json', { 'content-encoding': 'zstd' }), body: '{}' },
      ],
      415,
    ],
    ['an empty body', () => ['contacts', { ...typed('application/json'), body: '' }], 400],
    [
      'an empty body of unknown length',
      () => [
        'contacts',
        { ...typed('application/json', { 'transfer-encoding': 'chunked' }), body: '' },
      ],
      400,
    ],
    ['a path that differs by a slash', () => ['contacts/', bearer(token('read:contacts'))], 404],
    ['a path that differs by case', () => ['Contacts', bearer(token('read:contacts'))], 404],
    [
      'a subject that can not be an id',
      () => [
        'contacts',
        bearer(token('read:contacts', { sub: 'a\0b', [`${namespace}org_id`]: undefined })),
      ],
      403,
      challenge(),
    ],
    [
      'an organization of 256 characters',
      () => [
        'contacts',
        bearer(token('read:contacts', { [`${namespace}org_id`]: 'o'.repeat(256) })),
      ],
      403,
      challenge(),
    ],
    ['an unknown sort', () => ['contacts?sort=age', bearer(token('read:contacts'))], 400],
    ['an unknown parameter', () => ['contacts?page=2', bearer(token('read:contacts'))], 400],
    ['a parameter of a route that has none', () => ['me?a=b', bearer(token(''))], 400],
    [
      'a search for control characters',
      () => ['contacts?q=a%00', bearer(token('read:contacts'))],
      400,
    ],
    ['two limits', () => ['contacts?limit=1&limit=2', bearer(token('read:contacts'))], 400],
    ['a malformed cursor', () => ['contacts?cursor=%00', bearer(token('read:contacts'))], 400],
    [
      'a patch without a body',
      () => [
        'contacts/00000000-0000-4000-8000-000000000000',
        { ...bearer(token(ALL)), method: 'PATCH' },
      ],
      415,
    ],
    ['no body', () => ['contacts', { ...bearer(token('create:contacts')), method: 'POST' }], 415],
    [
      'a form',
      () => ['contacts', { ...bearer(token('create:contacts')), method: 'POST', form: ada }],
      415,
    ],
    [
      'malformed JSON',
      () => ['contacts', { ...json(token('create:contacts')), method: 'POST', body: '{"name":' }],
      400,
    ],
    [
      'wrong fields',
      () => [
        'contacts',
        { ...bearer(token('create:contacts')), method: 'POST', json: { name: '' } },
      ],
      422,
    ],
    [
      'a large body',
      () => [
        'contacts',
        {
          ...bearer(token('create:contacts')),
          method: 'POST',
          json: { name: 'x'.repeat(100_000) },
        },
      ],
      413,
    ],
  ];
  const json = (accessToken: string) => ({
    headers: { ...bearer(accessToken).headers, 'content-type': 'application/json' },
  });

  const typed = (type: string, headers: Record<string, string> = {}) => ({
    method: 'POST' as const,
    headers: { ...bearer(token('create:contacts')).headers, 'content-type': type, ...headers },
  });

  test.each(cases.map(([name, ...rest]) => ({ name, rest })))(
    'a request with $name is refused',
    async ({ rest }) => {
      proves('RFC 6750 §5.1 redirect', 'RFC 9068 §2.2.3', 'ASVS 10.3.1');
      const [request, status, expected] = rest;
      const { statusCode, headers, body } = await api(...request());
      expect(statusCode).toBe(status);
      expect(headers['content-type']).toBe('application/problem+json');
      expect(headers['cache-control']).toBe('no-store');
      expect(body).toMatchObject({ type: 'about:blank', status, title: expect.any(String) });
      if (expected === undefined) expect(headers['www-authenticate']).toBeUndefined();
      else expect(headers['www-authenticate']).toContain(expected);
    },
  );

  test.each([
    '{"name":"a","email":"a@example.com","name":"b"}',
    '{"name":"a","email":"a@example.com","\\u006eame":"b"}',
    '{"name":"a","email":"a@example.com","notes":{"x":1,"x":2}}',
  ])('a body with a member name twice is refused: %s (RFC 8259 §4)', async (body) => {
    for (const [method, path] of [
      ['POST', 'contacts'],
      ['PATCH', `contacts/${'0'.repeat(8)}-0000-4000-8000-${'0'.repeat(12)}`],
    ] as const) {
      const answer = await api(path, { ...json(token(ALL)), method, body });
      expect(answer.statusCode).toBe(400);
      expect(answer.body).toMatchObject({
        code: 'ERR_UNREADABLE_BODY',
        detail: 'the body has a member name twice: send each member once',
      });
    }
  });

  test('a wrong method is answered with the allowed ones', async () => {
    const { statusCode, headers } = await api.delete('contacts');
    expect([statusCode, headers.allow]).toEqual([405, 'HEAD, GET, POST']);
  });

  test.each(['PROPFIND', 'PUT', 'TRACE'])('%s is not a method of /contacts', async (method) => {
    const { statusCode, headers } = await api('contacts', { method: method as 'PUT' });
    expect([statusCode, headers.allow]).toEqual([405, 'HEAD, GET, POST']);
  });

  test.each([
    ['a target that is not a URL', 'http://[/contacts?access_token=SECRET', 'Host: a'],
    ['no Host', '/healthz', 'X-Y: SECRET'],
    ['two Hosts', '/healthz', 'Host: a\r\nHost: SECRET'],
    ['a wrong Host', '/healthz', 'Host: SECRET@a'],
  ])('%s is rejected, and no part of it is logged', async (_name, target, header) => {
    const socket = connect(running.port, '127.0.0.1');
    socket.end(`GET ${target} HTTP/1.1\r\n${header}\r\nConnection: close\r\n\r\n`);
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('application/problem+json');
    expect(answer).toContain('"code":"ERR_MALFORMED_TARGET"');
    expect(running.logged()).not.toContain('SECRET');
  });

  test('the first fifty of thousands of wrong fields are named', async () => {
    const fields = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`f${i}`, 1]));
    const { statusCode, body } = await api.post<{ errors: object[] }>('contacts', {
      ...bearer(token('create:contacts')),
      json: fields,
    });
    expect([statusCode, body.errors.length]).toEqual([422, 50]);
  });

  test('every wrong field is named', async () => {
    const answer = await api.post('contacts', {
      ...bearer(token('create:contacts')),
      json: { name: '', shoe: 44 },
    });
    expect(answer.body).toMatchObject({
      code: 'ERR_INVALID_INPUT',
      errors: expect.arrayContaining([
        { field: 'name', message: 'must not be empty' },
        { field: 'email', message: 'is required' },
        { field: 'shoe', message: 'is unknown: remove it' },
      ]),
    });
  });

  test('an unexpected error is a bare 500; only the log has its message', async () => {
    const broken = await startApp({
      database: {
        selectFrom: () => {
          throw new TypeError('table of secrets');
        },
      } as unknown as Kysely<Tables>,
    });
    const { statusCode, rawBody } = await broken.api(
      'contacts',
      bearer(broken.token('read:contacts')),
    );
    await broken.close();
    expect(statusCode).toBe(500);
    expect(rawBody.toString()).not.toContain('secrets');
    expect(broken.logged()).toContain('table of secrets');
  });
});

test('a token in the path is not logged', async () => {
  proves('RFC 6750 §5.3 URLs');
  const wrong = token('read:contacts');
  await api(`contacts/${wrong}`, bearer(wrong));
  expect(running.logged()).toContain('"path":"/contacts/…"');
});

test('no log line holds a token, a name or an address', () => {
  proves('RFC 9700 §4.9.2');
  expect(running.logged()).toContain('"path":"/contacts"');
  expect(running.logged()).not.toMatch(/eyJ/);
  expect(running.logged()).not.toContain('Lovelace');
  expect(running.logged()).not.toContain('ada@example.com');
});
