import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Identity, IdentityProviders } from '../../src/login/identity-providers.ts';
import { type Answer, type HostileIssuer, startHostileIssuer } from '../support/hostile-issuer.ts';
import { CLIENT, connectionTo } from '../support/partner.ts';

const OURS = 'http://localhost:3002/';

let partner: HostileIssuer;
let providers: IdentityProviders;
beforeAll(async () => {
  partner = await startHostileIssuer(CLIENT.client_id);
});
beforeEach(() => {
  for (const name of Object.keys(partner.metadata)) delete partner.metadata[name];
  for (const name of Object.keys(partner.requests)) delete partner.requests[name];
  providers = new IdentityProviders({ issuer: OURS });
});
afterAll(() => partner.close());

const WISHES = { reauthenticate: false };

/** A whole sign-in, whose answer is changed. */
async function signIn(
  change?: (answer: Answer) => void,
  { response = {}, maxAge }: { response?: Record<string, string>; maxAge?: number } = {},
): Promise<Identity> {
  const connection = connectionTo(partner.issuer);
  const { pending } = await providers.begin(connection, { ...WISHES, maxAge });
  partner.answer(pending.nonce, change);
  const query = new URLSearchParams({ code: 'c', state: pending.state, ...response });
  return providers.finish(connection, query.toString(), pending);
}

const failure = (status: number, message: RegExp) =>
  expect.objectContaining({
    name: 'ProviderFailure',
    status,
    message: expect.stringMatching(message),
  });

test('a valid answer gives the subject and the profile', async () => {
  expect(await signIn()).toEqual({
    subject: 'eve',
    profile: { name: 'Eve', email: 'eve@example.com', email_verified: false },
  });
});

describe('an ID token is refused', () => {
  test.each<[string, (answer: Answer) => void]>([
    ['for another nonce', ({ claims }) => Object.assign(claims, { nonce: 'other' })],
    ['without a nonce', ({ claims }) => delete claims.nonce],
    ['of another issuer', ({ claims }) => Object.assign(claims, { iss: 'https://x.example/' })],
    ['for another client', ({ claims }) => Object.assign(claims, { aud: 'other' })],
    [
      'for several without azp',
      ({ claims }) => Object.assign(claims, { aud: [CLIENT.client_id, 'x'] }),
    ],
    ['that has expired', ({ claims }) => Object.assign(claims, { exp: 1 })],
    ['without an end', ({ claims }) => delete claims.exp],
    ['without a subject', ({ claims }) => delete claims.sub],
    ['with a subject too long', ({ claims }) => Object.assign(claims, { sub: 'x'.repeat(256) })],
    ['signed by another key', (answer) => Object.assign(answer, { key: partner.otherKey })],
    ['of an unknown key', ({ header }) => Object.assign(header, { kid: 'x' })],
    ['without a signature', ({ header }) => Object.assign(header, { alg: 'none' })],
    [
      'signed with the client secret',
      (answer) =>
        Object.assign(answer, {
          header: { alg: 'HS256', kid: 'k' },
          key: Buffer.from(CLIENT.client_secret.padEnd(32, '_')),
        }),
    ],
    ['that is missing', ({ body }) => Object.assign(body, { id_token: undefined })],
    ['that is no JWT', ({ body }) => Object.assign(body, { id_token: 'x' })],
  ])('%s', async (_name, change) => {
    await expect(signIn(change)).rejects.toEqual(failure(502, /^(its answer|the subject)/));
  });

  test('that is older than max_age', async () => {
    const at = (auth_time: number) => (answer: Answer) => {
      answer.claims.auth_time = auth_time;
    };
    const now = Math.floor(Date.now() / 1000);
    expect(await signIn(at(now), { maxAge: 60 })).toMatchObject({ subject: 'eve' });
    await expect(signIn(at(now - 600), { maxAge: 60 })).rejects.toEqual(failure(502, /answer/));
    await expect(signIn(undefined, { maxAge: 60 })).rejects.toEqual(failure(502, /answer/));
  });
});

describe('an answer is checked before its code is redeemed', () => {
  test.each<[string, Record<string, string>, unknown]>([
    ['another state', { state: 'other', error: 'access_denied' }, failure(502, /"state"|invalid/)],
    [
      'another iss',
      { iss: 'https://x.example/', error: 'access_denied' },
      failure(502, /"iss"|invalid/),
    ],
    [
      'access_denied',
      { error: 'access_denied', error_description: 'not "today"\n<b>' },
      expect.objectContaining({ name: 'ProviderDenial', message: 'not  today  <b>' }),
    ],
    ['another error', { error: 'invalid_scope' }, failure(502, /it answered invalid_scope/)],
    ['an error that passes', { error: 'server_error' }, failure(503, /it answered server_error/)],
    ['an error that is no code', { error: '<b>\n' }, failure(502, /without a readable code/)],
  ])('%s', async (_name, response, error) => {
    await expect(signIn(undefined, { response })).rejects.toEqual(error);
    expect(partner.requests['/token']).toBeUndefined();
  });

  test('a missing iss is refused if the provider announces it', async () => {
    partner.metadata.authorization_response_iss_parameter_supported = true;
    await expect(signIn()).rejects.toEqual(failure(502, /invalid/));
    expect(partner.requests['/token']).toBeUndefined();
  });
});

describe('the token endpoint', () => {
  test('fails with 502 when it refuses the code', async () => {
    const refusal = signIn((answer) => {
      Object.assign(answer, { status: 400, body: { error: 'invalid_grant', id_token: undefined } });
    });
    await expect(refusal).rejects.toEqual(failure(502, /refused the code: invalid_grant/));
  });

  test('fails with 503 when it is broken', async () => {
    const broken = signIn((answer) => Object.assign(answer, { status: 500 }));
    await expect(broken).rejects.toEqual(failure(503, /answered 500/));
  });
});

describe('userinfo', () => {
  const lacking = (userinfo: Record<string, unknown>) => (answer: Answer) => {
    delete answer.claims.email;
    answer.userinfo = userinfo;
  };

  test('is asked for missing claims of the ID token, and overrides none', async () => {
    const userinfo = { sub: 'eve', name: 'Mallory', email: 'e@example.com', email_verified: true };
    expect((await signIn(lacking(userinfo))).profile).toEqual({
      name: 'Eve',
      email: 'e@example.com',
      email_verified: true,
    });
    expect(partner.requests['/userinfo']).toBe(1);
    await signIn();
    expect(partner.requests['/userinfo']).toBe(1);
  });

  test('about another user is refused (OpenID Connect Core §5.3.2)', async () => {
    const other = signIn(lacking({ sub: 'alice', email: 'alice@example.com' }));
    await expect(other).rejects.toEqual(failure(502, /answer/));
  });
});

describe('discovery', () => {
  const begin = (options: Record<string, unknown>) =>
    providers.begin(connectionTo(partner.issuer, { options }), WISHES);

  test('is requested once for all who wait, again after an hour, and again after a failure', async () => {
    let now = 0;
    providers = new IdentityProviders({ issuer: OURS, now: () => now });
    partner.metadata.issuer = 'https://x.example/';
    await expect(begin({})).rejects.toEqual(failure(502, /answer/));
    delete partner.metadata.issuer;
    await Promise.all([begin({}), begin({})]);
    now = 3_599_999;
    await signIn();
    const asked = (): number | undefined => partner.requests['/.well-known/openid-configuration'];
    expect(asked()).toBe(2);
    now = 3_600_000;
    await signIn();
    expect(asked()).toBe(3);
  });

  test('by its own URL is valid only for the issuer before it', async () => {
    const discovery_url = `${partner.issuer}.well-known/openid-configuration`;
    const { url } = await begin({ issuer: undefined, discovery_url, scope: 'openid' });
    expect(url.searchParams.get('scope')).toBe('openid');
    partner.metadata.issuer = 'https://x.example/';
    providers = new IdentityProviders({ issuer: OURS });
    const refused = failure(502, /another issuer/);
    await expect(begin({ issuer: undefined, discovery_url })).rejects.toEqual(refused);
    providers = new IdentityProviders({ issuer: OURS });
    await expect(begin({})).rejects.toEqual(failure(502, /issuer/));
  });

  test('that names an http address on the network is refused', async () => {
    partner.metadata.token_endpoint = 'http://partner.example/token';
    await expect(signIn()).rejects.toEqual(failure(502, /http on the network/));
  });

  test('fails when it takes too long, answers too much, or can’t be reached', async () => {
    const failing = (send: typeof fetch) =>
      new IdentityProviders({ issuer: OURS, fetch: send, timeLimit: 0.05 }).begin(
        connectionTo(partner.issuer),
        WISHES,
      );
    const never: typeof fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    await expect(failing(never)).rejects.toEqual(failure(503, /can't be reached/));
    const long: typeof fetch = async () => new Response('x'.repeat(1_000_001));
    await expect(failing(long)).rejects.toEqual(failure(502, /more than 1000000 bytes/));
    const down: typeof fetch = async () => Promise.reject(new TypeError('fetch failed'));
    await expect(failing(down)).rejects.toEqual(failure(503, /can't be reached/));
    const redirected: typeof fetch = async () =>
      new Response(null, { status: 302, headers: { location: 'http://169.254.169.254/' } });
    await expect(failing(redirected)).rejects.toEqual(failure(502, /answer/));
  });
});
