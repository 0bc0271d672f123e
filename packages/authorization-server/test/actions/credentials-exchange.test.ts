import { afterAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import {
  type CredentialsExchangeEvent,
  runCredentialsExchange,
} from '../../src/actions/credentials-exchange.ts';
import type { Tenant } from '../../src/index.ts';
import { recorder } from '../support/alice-login.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { API, requestTokens, type TokenAnswer } from '../support/sign-in.ts';

afterAll(stopServers);

function exchangeOf(body: string): Tenant['credentialsExchange'][number] {
  const code = `exports.onExecuteCredentialsExchange = async (event, api) => { ${body} };`;
  return { name: 'test', file: import.meta.filename, code, secrets: { WORD: 'hush' } };
}

async function tokenWith(...bodies: string[]): Promise<TokenAnswer> {
  const server = await startDemo((tenant) =>
    Object.assign(tenant, { credentialsExchange: bodies.map(exchangeOf) }),
  );
  const form = { grant_type: 'client_credentials', audience: API };
  return requestTokens(server, form, 'contacts-cli');
}

const event: CredentialsExchangeEvent = {
  client: { client_id: 'contacts-cli', name: 'CLI', metadata: {} },
  accessToken: { customClaims: {}, scope: ['read:contacts'] },
  resource_server: { identifier: API },
  tenant: { id: 'dev' },
  transaction: { requested_scopes: ['read:contacts'] },
  request: { ip: '127.0.0.1', method: 'POST', user_agent: '', body: {} },
};

const run = (...bodies: string[]) =>
  runCredentialsExchange(bodies.map(exchangeOf), event, recorder(), { timeLimit: 50 });

test('an Action gets the client, the API and the request, and adds a claim', async () => {
  const { status, body } = await tokenWith(`
    api.accessToken.setCustomClaim('https://x.example/told', [
      event.client.client_id, event.client.name, event.resource_server.identifier,
      event.accessToken.scope, event.transaction.requested_scopes, event.secrets.WORD,
      event.request.method, event.request.body.grant_type, event.request.body.client_secret ?? null,
    ]).accessToken.setCustomClaim('email', 'x@example.com').accessToken.setCustomClaim('sub', 'x');`);
  expect(status).toBe(200);
  const claims = decodeJwt(body.access_token ?? '');
  expect(claims['https://x.example/told']).toEqual([
    'contacts-cli',
    'Contacts command line',
    API,
    ['read:contacts'],
    ['read:contacts'],
    'hush',
    'POST',
    'client_credentials',
    null,
  ]);
  expect(claims.sub).toBe('contacts-cli@clients');
  expect(claims).not.toHaveProperty('email');
  expect(claims.gty).toBe('client-credentials');
});

describe('a denial is the answer of the token endpoint', () => {
  test.each([
    ['invalid_scope', 400],
    ['invalid_request', 400],
    ['server_error', 500],
  ])('a denial with %s is answered with status %i', async (code, status) => {
    expect(await tokenWith(`api.access.deny('${code}', 'not today');`)).toEqual({
      status,
      body: { error: code, error_description: 'not today' },
    });
  });

  test('the reason is answered as it is, even if the engine has an error of that name', async () => {
    const reason = 'code_verifier: no such thing';
    expect(await tokenWith(`api.access.deny('invalid_request', '${reason}');`)).toEqual({
      status: 400,
      body: { error: 'invalid_request', error_description: reason },
    });
  });

  test('an exception is answered as server_error with its message', async () => {
    expect(await tokenWith(`throw new Error('it broke');`)).toEqual({
      status: 500,
      body: { error: 'server_error', error_description: 'it broke' },
    });
  });
});

test('a denial with server_error is logged as a refusal, not as an unexpected error', async () => {
  const { logger, lines } = keptLog();
  const server = await startDemo(
    (tenant) =>
      Object.assign(tenant, {
        credentialsExchange: [exchangeOf(`api.access.deny('server_error', 'not today');`)],
      }),
    { logger },
  );
  await requestTokens(server, { grant_type: 'client_credentials', audience: API }, 'contacts-cli');
  expect(lines.map(({ msg }) => msg)).toEqual(['tokens refused']);
  expect(lines[0]).toMatchObject({ error: 'server_error', reason: 'not today' });
});

describe('the first that denies ends the run', () => {
  test.each([
    [
      'a code of its own',
      `api.access.deny('nope', 'x');`,
      /the code is "nope": give one of invalid_scope, /,
    ],
    [
      'a method that is not here',
      `api.transaction.setMetadata('a', 'b');`,
      'api.transaction.setMetadata is not available locally',
    ],
    ['an object without a prototype', 'throw Object.create(null);', 'the reason could not be read'],
    [
      'a symbol as its reason',
      `api.access.deny('server_error', Symbol('odd'));`,
      /^Symbol\(odd\)$/,
    ],
    [
      'a code that is no text',
      `api.access.deny(Object.create(null), 'x');`,
      /the code is "the reason could not be read": give one of invalid_scope, /,
    ],
    ['taking too long', 'await new Promise(() => {});', 'took longer than 50 ms'],
  ])('%s denies with server_error', async (_name, body, reason) => {
    const outcome = await run(body, `api.accessToken.setCustomClaim('https://x.example/a', 1);`);
    expect(outcome.accessToken).toEqual({});
    expect(outcome.denied).toEqual({ code: 'server_error', reason: expect.stringMatching(reason) });
  });

  test('a file without the handler is answered as server_error', async () => {
    const action = { ...exchangeOf(''), code: 'exports.onExecutePostLogin = async () => {};' };
    expect((await runCredentialsExchange([action], event, recorder())).denied).toEqual({
      code: 'server_error',
      reason: 'exports no onExecuteCredentialsExchange',
    });
  });
});

test('the next Action sees the claims of the one before, and may remove one', async () => {
  const outcome = await run(
    `api.accessToken.setCustomClaim('https://x.example/a', 1).accessToken.setCustomClaim('https://x.example/b', 1);`,
    `api.accessToken.setCustomClaim('https://x.example/c', event.accessToken.customClaims);
     api.accessToken.setCustomClaim('https://x.example/a', null);`,
  );
  expect(outcome.accessToken).toEqual({
    'https://x.example/b': 1,
    'https://x.example/c': { 'https://x.example/a': 1, 'https://x.example/b': 1 },
  });
});

test('a cached value is there at the next request', async () => {
  const server = await startDemo((tenant) =>
    Object.assign(tenant, {
      credentialsExchange: [
        exchangeOf(`
          const seen = Number(api.cache.get('seen')?.value ?? 0) + 1;
          api.cache.set('seen', String(seen));
          api.accessToken.setCustomClaim('https://x.example/seen', seen);`),
      ],
    }),
  );
  const form = { grant_type: 'client_credentials', audience: API };
  for (const seen of [1, 2]) {
    const { body } = await requestTokens(server, form, 'contacts-cli');
    expect(decodeJwt(body.access_token ?? '')['https://x.example/seen']).toBe(seen);
  }
});

test('any thrown value is answered as 500 server_error with a readable text', async () => {
  expect(await tokenWith('throw Object.create(null);')).toEqual({
    status: 500,
    body: { error: 'server_error', error_description: 'the reason could not be read' },
  });
});

test('a restricted claim is dropped with a warning', async () => {
  const log = recorder();
  await runCredentialsExchange(
    [exchangeOf(`api.accessToken.setCustomClaim('azp', 'x');`)],
    event,
    log,
  );
  expect(log.lines).toEqual([
    {
      level: 'warn',
      fields: { action: 'test', token: 'accessToken', claim: 'azp' },
      message: 'restricted claim dropped',
    },
  ]);
});
