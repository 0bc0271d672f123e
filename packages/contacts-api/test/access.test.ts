import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { proves } from '../../../test/support/proves.ts';
import { organizationNamed } from '../src/access-token.ts';
import { type Operation, SCOPES } from '../src/operation.ts';
import { ContactStore } from '../src/store/contact-store.ts';
import { bearer, namespace, type RunningApp, startApp } from './support/running-app.ts';

// Calls every declared operation with every kind of caller. The tables are made from the declarations,
// so that they include a new operation.
const probe = await startApp();
const { operations } = probe.app;
await probe.close();

const ada = { name: 'Ada', email: 'ada@example.com' };
const closed = operations.filter(({ needs }) => needs !== undefined);
const scoped = closed.filter(({ needs }) => needs?.scope);
const allScopes = Object.keys(SCOPES);
const ROLES = { [`${namespace}roles`]: ['admin', 'editor', 'reader'] };

let running: RunningApp;
let id: string;

beforeAll(async () => {
  running = await startApp();
  const store = new ContactStore(running.database);
  const by = { subject: 'auth0|alice', clientId: undefined };
  ({ id } = await store.create(organizationNamed('acme'), by, ada));
});
afterAll(() => running.close());

const call = ({ method, path, body }: Operation, accessToken?: string) =>
  running.api(path.slice(1).replace('{id}', id), {
    method,
    ...(body && { json: ada }),
    ...(accessToken === undefined ? {} : bearer(accessToken)),
  });
const withId = (list: readonly Operation[]) => list.map((each) => [each.id, each] as const);
const scopesWithout = (scope: string) => allScopes.filter((each) => each !== scope).join(' ');

test('the operations are those of the contract, with their scopes and roles', () => {
  proves('RFC 6750 §5.3 scope', 'ASVS 10.3.2');
  const table = operations.map(({ method, path, needs }) => {
    return [`${method.toUpperCase()} ${path}`, needs?.scope, needs?.role];
  });
  expect(Object.fromEntries(table.map(([route, ...needs]) => [route, needs]))).toEqual({
    'GET /healthz': [undefined, undefined],
    'GET /readyz': [undefined, undefined],
    'GET /.well-known/oauth-protected-resource': [undefined, undefined],
    'GET /me': [undefined, undefined],
    'GET /contacts': ['read:contacts', undefined],
    'GET /contacts/{id}': ['read:contacts', undefined],
    'POST /contacts': ['create:contacts', undefined],
    'PUT /contacts/{id}': ['update:contacts', undefined],
    'PATCH /contacts/{id}': ['update:contacts', undefined],
    'DELETE /contacts/{id}': ['delete:contacts', undefined],
    'GET /activity': ['read:activity', 'admin'],
    'POST /backchannel-logout': [undefined, undefined],
  });
});

describe('without a token', () => {
  test.each(withId(closed))('%s answers 401, and names its scope alone', async (_, operation) => {
    const { statusCode, headers } = await call(operation);
    expect(statusCode).toBe(401);
    const challenge = headers['www-authenticate'] ?? '';
    expect(challenge).not.toContain('error');
    const { scope } = operation.needs ?? {};
    // One for each scheme, Bearer and DPoP.
    expect(challenge.match(/ scope="[^"]*"/g)).toEqual(
      scope ? Array(2).fill(` scope="${scope}"`) : null,
    );
  });

  test.each(withId(operations.filter(({ needs, method }) => !needs && method === 'get')))(
    '%s is open and answers 200',
    async (_, operation) => {
      expect((await call(operation)).statusCode).toBe(200);
    },
  );
});

describe('with an expired token', () => {
  test.each(withId(closed))('%s answers 401 invalid_token', async (_, operation) => {
    const { statusCode, headers } = await call(
      operation,
      running.token(allScopes.join(' '), { ...ROLES, exp: 1 }),
    );
    expect(statusCode).toBe(401);
    expect(headers['www-authenticate']).toContain('error="invalid_token"');
  });
});

describe('with every scope except the right one', () => {
  test.each(withId(scoped))(
    '%s answers 403 insufficient_scope and names the scope',
    async (_, operation) => {
      const scope = operation.needs?.scope ?? '';
      const { statusCode, headers } = await call(
        operation,
        running.token(scopesWithout(scope), ROLES),
      );
      expect(statusCode).toBe(403);
      expect(headers['www-authenticate']).toContain('error="insufficient_scope"');
      expect(headers['www-authenticate']).toContain(`scope="${scope}"`);
    },
  );
});

describe('with the right scope and without the role', () => {
  test.each(withId(closed.filter(({ needs }) => needs?.role)))(
    '%s answers 403 without an error code',
    async (_, operation) => {
      const scope = operation.needs?.scope ?? '';
      for (const roles of [undefined, [], ['reader'], ['administrator'], ['ADMIN']]) {
        const { statusCode, headers } = await call(
          operation,
          running.token(scope, { [`${namespace}roles`]: roles }),
        );
        expect(statusCode).toBe(403);
        expect(headers['www-authenticate']).not.toContain('error=');
      }
    },
  );
});

describe('with a token of another organization', () => {
  test.each(withId(closed.filter(({ path }) => path.includes('{id}'))))(
    '%s answers 404, as for a contact that does not exist',
    async (_, operation) => {
      for (const claims of [
        { [`${namespace}org_id`]: 'globex' },
        { [`${namespace}org_id`]: undefined, sub: 'acme' },
        { [`${namespace}org_id`]: 'ACME' },
      ]) {
        const token = running.token(allScopes.join(' '), { ...ROLES, ...claims });
        const { statusCode, body } = await call(operation, token);
        expect(statusCode).toBe(404);
        expect(JSON.stringify(body)).not.toContain('Ada');
      }
    },
  );
});

// Last, because one of the operations deletes the contact.
describe('with exactly the right scope and role', () => {
  const deletingLast = closed.toSorted(
    (a, b) => Number(a.method === 'delete') - Number(b.method === 'delete'),
  );
  test.each(withId(deletingLast))('%s answers 2xx as declared', async (_, operation) => {
    const { scope = '', role } = operation.needs ?? {};
    const roles = { [`${namespace}roles`]: role ? [role] : [] };
    const { statusCode, body } = await call(operation, running.token(scope, roles));
    const declared = operation.answers[statusCode];
    expect([statusCode < 300, declared === undefined]).toEqual([true, false]);
    if (declared?.schema) declared.schema.parse(body);
  });
});

describe('with STEP_UP_ACR and STEP_UP_MAX_AGE', () => {
  const now = Math.floor(Date.now() / 1000);
  const sensitive = ['deleteContact', 'listActivity'];
  let strict: RunningApp;

  beforeAll(async () => {
    strict = await startApp({ stepUp: { acr: 'mfa', maxAge: 300 } });
  });
  afterAll(() => strict.close());

  const send = ({ method, path, body }: Operation, claims: object, scope = allScopes.join(' ')) =>
    strict.api(path.slice(1).replace('{id}', id), {
      method,
      ...(body && { json: ada }),
      ...bearer(strict.token(scope, { ...ROLES, ...claims })),
    });

  test.each(withId(closed.filter((each) => sensitive.includes(each.id))))(
    '%s needs such a sign-in (RFC 9470 §3), after the scope',
    async (name) => {
      const operation = strict.app.operations.find((each) => each.id === name) as Operation;
      const { statusCode, headers, body } = await send(operation, { auth_time: now });
      expect([statusCode, headers['content-type']]).toEqual([401, 'application/problem+json']);
      expect(body).toMatchObject({ code: 'ERR_INSUFFICIENT_USER_AUTHENTICATION' });
      expect(headers['www-authenticate']).toMatch(
        /^Bearer .*error="insufficient_user_authentication".*, acr_values="mfa", max_age="300"/,
      );
      const old = await send(operation, { acr: 'mfa', auth_time: now - 400 });
      expect(old.statusCode).toBe(401);
      const strong = await send(operation, { acr: 'mfa', auth_time: now });
      expect([200, 404]).toContain(strong.statusCode);
      expect((await send(operation, {}, 'read:contacts')).statusCode).toBe(403);
    },
  );

  test.each(withId(closed.filter((each) => !sensitive.includes(each.id))))(
    '%s needs none',
    async (_, operation) => {
      expect((await send(operation, {})).statusCode).not.toBe(401);
    },
  );

  test('the OpenAPI document names it at these operations only', async () => {
    const { paths } = await strict.api('openapi.json').json<{
      paths: Record<string, Record<string, { operationId: string }>>;
    }>();
    const named = Object.values(paths)
      .flatMap((methods) => Object.values(methods))
      .filter((each) => JSON.stringify(each).includes('RFC 9470'));
    expect(named.map(({ operationId }) => operationId).sort()).toEqual(sensitive);
    expect(named[0]).toMatchObject({
      description: expect.stringContaining('a sign-in with the `acr` mfa in the last 300 seconds'),
      responses: { 401: { description: expect.stringContaining('the sign-in is too weak') } },
    });
    expect(JSON.stringify(await running.api('openapi.json').json())).not.toContain('RFC 9470');
  });
});

describe('cross-origin requests', () => {
  const origin = 'https://app.example.com';
  let closed: RunningApp;
  let opened: RunningApp;

  beforeAll(async () => {
    closed = await startApp();
    opened = await startApp({ corsOrigins: [origin] });
  });
  afterAll(() => Promise.all([closed.close(), opened.close()]));

  const preflight = ({ api }: RunningApp, from: string) =>
    api('contacts', {
      method: 'OPTIONS',
      headers: {
        origin: from,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });

  describe('CORS', () => {
    test('is off by default: no answer has a header of it', async () => {
      const { headers } = await preflight(closed, origin);
      const { headers: answered } = await closed.api('healthz', { headers: { origin } });
      for (const name of Object.keys({ ...headers, ...answered })) {
        expect(name).not.toMatch(/^access-control/);
      }
    });

    test('allows pages of configured origins to call, and to read the headers that matter', async () => {
      const { statusCode, headers } = await preflight(opened, origin);
      expect(statusCode).toBe(204);
      expect(headers['access-control-allow-origin']).toBe(origin);
      expect(headers['access-control-allow-headers']).toBe('authorization,content-type');
      expect(headers['access-control-allow-credentials']).toBeUndefined();
      const answer = await opened.api('contacts', {
        headers: { ...bearer(opened.token('read:contacts')).headers, origin },
      });
      expect(answer.headers['access-control-allow-origin']).toBe(origin);
      expect(answer.headers['access-control-expose-headers']).toContain('WWW-Authenticate');
      expect(answer.headers.vary).toContain('Origin');
    });

    test('allows pages to read a refusal too', async () => {
      const { statusCode, headers } = await opened.api('contacts', { headers: { origin } });
      expect(statusCode).toBe(401);
      expect(headers['access-control-allow-origin']).toBe(origin);
      expect(headers['access-control-expose-headers']).toContain('WWW-Authenticate');
    });

    test.each([
      'https://evil.example',
      'https://app.example.com.evil.example',
      'http://app.example.com',
      'null',
    ])('does not allow %s', async (other) => {
      const { headers } = await preflight(opened, other);
      expect(headers['access-control-allow-origin']).toBeUndefined();
    });
  });
});
