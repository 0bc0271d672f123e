import { afterAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { membersOf } from '../../src/actions/reference.ts';
import type { Tenant } from '../../src/index.ts';
import type { Trigger } from '../../src/tenant/tenant.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import {
  ALL_SCOPES,
  API,
  authorizationRequest,
  CALLBACK,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from '../support/sign-in.ts';

afterAll(stopServers);

const SEEN = 'https://x.example/seen';

/** Facts that only Auth0 knows, as a tenant file has them. */
const STAND_INS: Tenant['event'] = {
  authentication: { riskAssessment: { confidence: 'low', version: '1', assessments: {} } },
  custom_domain: { domain: 'login.example.com', domain_metadata: { stage: 'dev' } },
  request: { asn: '3320', geoip: { countryCode: 'DE', cityName: 'Berlin', latitude: 52.5 } },
  security_context: { ja3: 'a-fingerprint', ja4: 'another' },
};

/** A profile with everything that Auth0 can have in one. */
const PROFILE = {
  username: 'alice',
  picture: 'https://example.com/alice.png',
  phone_number: '+4930123456',
  phone_verified: true,
  last_password_reset: '2026-01-01T00:00:00.000Z',
  enrolledFactors: [{ type: 'otp' }],
};

const HANDLERS: Record<Trigger, string> = {
  'post-login': 'onExecutePostLogin',
  'credentials-exchange': 'onExecuteCredentialsExchange',
};

/** Returns an Action of a trigger; the test writes into its secrets. */
function actionFor(trigger: Trigger, body: string, secrets: Record<string, string> = {}) {
  const code = `exports.${HANDLERS[trigger]} = async (event, api) => { ${body} };`;
  return { name: 'test', file: import.meta.filename, code, secrets };
}

const startWith = (
  trigger: Trigger,
  action: Tenant['postLogin'][number],
  logger = keptLog().logger,
) =>
  startDemo(
    (tenant) => {
      const list = { 'post-login': 'postLogin', 'credentials-exchange': 'credentialsExchange' }[
        trigger
      ];
      const organizations = [
        { name: 'acme', id: 'org_acme', display_name: 'Acme', metadata: { plan: 'gold' } },
      ].map((one) => ({ ...one, members: ['auth0|alice'] }));
      const connections = [
        { name: 'db', strategy: 'auth0', metadata: { region: 'eu' }, options: {} },
      ].map((one) => ({ ...one, enabled_clients: ['Contacts'] }));
      Object.assign(tenant, {
        connections,
        event: STAND_INS,
        organizations,
        postLogin: [],
        [list]: [action],
      });
      Object.assign(tenant.users[0] ?? {}, PROFILE);
      Object.assign(tenant.clients[0]?.refresh_token ?? {}, {
        idle_token_lifetime: 3600,
        policies: [{ audience: API, scope: ['read:contacts'] }],
      });
    },
    { logger },
  );

const PARAMETERS = {
  organization: 'org_acme',
  acr_values: 'urn:example:high',
  correlation_id: 'corr-1',
  login_hint: 'alice@example.com',
  prompt: 'login',
  response_mode: 'query',
  ui_locales: 'de en',
};

const available = (trigger: Trigger) =>
  membersOf(trigger).filter(({ availability }) => availability !== 'unavailable');
const unavailable = (trigger: Trigger) =>
  membersOf(trigger).filter(({ availability }) => availability === 'unavailable');
const pathOf = ({ part, name }: { part: string; name: string }) => `${part}.${name}`;

/** Finds the paths in the event, and the methods of the `api`. */
const FIND = `
  const has = (path) => {
    const names = path.split('.');
    if (names[0] === 'api') return Object.keys(api[names[1]]).includes(names[2]) && typeof api[names[1]][names[2]] === 'function';
    return names.slice(1).reduce((value, name) => value?.[name], event) !== undefined;
  };
  const found = JSON.parse(event.secrets.PATHS).filter(has);`;

test('every available member of post-login has a value in a real login or refresh', async () => {
  const paths = available('post-login').map(pathOf);
  const body = `${FIND} api.idToken.setCustomClaim('${SEEN}', found);`;
  const secrets = { PATHS: JSON.stringify(paths) };
  const server = await startWith('post-login', actionFor('post-login', body, secrets));
  const { tokens } = await tokensFor(server, 'alice', PARAMETERS);
  const refreshed = await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  const seenIn = (token = '') => decodeJwt(token)[SEEN] as string[];
  const seen = new Set([...seenIn(tokens.id_token), ...seenIn(refreshed.body.id_token)]);
  expect(paths.length).toBeGreaterThan(120);
  expect(paths.filter((path) => !seen.has(path))).toEqual([]);
});

test('every available member of credentials-exchange has a value in a real exchange', async () => {
  const paths = available('credentials-exchange').map(pathOf);
  const body = `${FIND} api.accessToken.setCustomClaim('${SEEN}', found);`;
  const secrets = { PATHS: JSON.stringify(paths) };
  const server = await startWith(
    'credentials-exchange',
    actionFor('credentials-exchange', body, secrets),
  );
  const form = { grant_type: 'client_credentials', audience: API, correlation_id: 'corr-1' };
  const answer = await requestTokens(server, form, 'contacts-cli');
  expect(decodeJwt(answer.body.access_token ?? '')[SEEN]).toEqual(paths);
});

/** Reads the member whose path is the secret, with slashes, and calls it if it is a method. */
const READ = `
  const value = event.secrets.PATH.split('/').reduce((from, name) => from[name], { event, api });
  if (typeof value === 'function') value('x');`;

/** Returns the text that a member of this path denies with: it names the member, or its part. */
const denialOf = (path: string, part: string) =>
  new RegExp(`^(?:${part}|${path}) is not available locally$`.replaceAll('.', '\\.'));

test('every unavailable member of post-login denies a login by its name', async () => {
  const secrets: Record<string, string> = {};
  const server = await startWith('post-login', actionFor('post-login', READ, secrets));
  const members = unavailable('post-login').filter(({ part }) => part !== 'event.refresh_token');
  expect(members.length).toBeGreaterThan(40);
  for (const member of members) {
    const path = pathOf(member);
    secrets.PATH = path.replaceAll('.', '/');
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error')).toBe('access_denied');
    expect(callback.get('error_description')).toMatch(denialOf(path, member.part));
  }
});

test('every unavailable member of a refresh token denies the refresh by its name', async () => {
  const secrets: Record<string, string> = { PATH: 'event/user' };
  const server = await startWith('post-login', actionFor('post-login', READ, secrets));
  const { tokens } = await tokensFor(server, 'alice', { scope: ALL_SCOPES });
  for (const { part, name } of unavailable('post-login')) {
    if (part !== 'event.refresh_token') continue;
    const path = pathOf({ part, name });
    secrets.PATH = path.replaceAll('.', '/');
    const { refresh_token = '' } = tokens;
    const { body } = await requestTokens(server, { grant_type: 'refresh_token', refresh_token });
    expect(body.error_description).toMatch(denialOf(path, part));
  }
});

test('every unavailable member of credentials-exchange denies the exchange by its name', async () => {
  const secrets: Record<string, string> = {};
  const action = actionFor('credentials-exchange', READ, secrets);
  const server = await startWith('credentials-exchange', action);
  const members = unavailable('credentials-exchange');
  expect(members.length).toBeGreaterThan(10);
  for (const member of members) {
    const path = pathOf(member);
    secrets.PATH = path.replaceAll('.', '/');
    const form = { grant_type: 'client_credentials', audience: API };
    const { status, body } = await requestTokens(server, form, 'contacts-cli');
    expect([status, body.error]).toEqual([500, 'server_error']);
    expect(body.error_description).toMatch(denialOf(path, member.part));
  }
});

describe('an event with unavailable members', () => {
  test.each([
    ['is printed', 'console.log(event, JSON.stringify(event));'],
    ['is copied', 'structuredClone(event); ({ ...event, session: { ...event.session } });'],
    ['is compared', `require('node:assert').deepEqual({ ...event }, event);`],
    ['is walked', 'for (const name in event) event[name]; Object.values(event);'],
    [
      'is asked for an optional part',
      `if (Object.keys(event).includes('agent')) throw new Error();`,
    ],
    ['is changed', `event.prompt = { id: 'x' }; if (event.prompt.id !== 'x') throw new Error();`],
    ['has its api printed', 'console.log(api); await api.session; JSON.stringify(api.prompt);'],
  ])('%s without a denial', async (_name, body) => {
    const server = await startWith('post-login', actionFor('post-login', body));
    const callback = await signIn(openBrowser(), authorizationRequest(server));
    expect(callback.get('error_description')).toBeNull();
  });

  test('has no secret in the log when it is printed', async () => {
    const { logger, lines } = keptLog();
    const action = actionFor('post-login', 'console.log(event);', { WORD: 'hush-hush' });
    const server = await startWith('post-login', action, logger);
    await tokensFor(server, 'alice', { scope: 'openid offline_access' });
    const printed = lines.filter((line) => 'action' in line);
    expect(printed).toHaveLength(1);
    expect(JSON.stringify(printed)).toContain('alice@example.com');
    expect(JSON.stringify(printed)).not.toContain('hush-hush');
  });
});

test('a hostile request gives an Action short texts, and no secret', async () => {
  const body = `api.idToken.setCustomClaim('${SEEN}', [
    event.request.query.state.length, event.request.query.password ?? null,
    event.transaction.redirect_uri, Object.keys(event.request.query).length,
  ]);`;
  const server = await startWith('post-login', actionFor('post-login', body));
  const many = Object.fromEntries([...Array(200).keys()].map((name) => [`n${name}`, 'x']));
  const request = authorizationRequest(server, { state: 'x'.repeat(5000) });
  const url = new URL(request.url);
  url.search = `${new URLSearchParams({ ...many, password: 'x' })}&${url.searchParams}`;
  const callback = await signIn(openBrowser(), { ...request, url: url.href });
  const { body: tokens } = await requestTokens(server, {
    grant_type: 'authorization_code',
    redirect_uri: CALLBACK,
    code: callback.get('code') ?? '',
    code_verifier: request.verifier,
  });
  expect(decodeJwt(tokens.id_token ?? '')[SEEN]).toEqual([4096, null, CALLBACK, 100]);
});
