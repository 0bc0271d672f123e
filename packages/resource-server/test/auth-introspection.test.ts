import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  createProof,
  startTestIssuer,
  type TestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import { z } from 'zod';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import {
  type AccessTokenVerifierOptions,
  type AuthEvent,
  createAccessTokenVerifier,
  type IntrospectionOptions,
} from '../src/index.ts';
import {
  AUDIENCE,
  type IntrospectingIssuer,
  replyWith,
  startIntrospectingIssuer,
} from './support/introspecting-issuer.ts';
import { type Api, startApi } from './support/protected-api.ts';

const TOKEN = 'opaque-token.1';
const baseURL = AUDIENCE;
const key = testKey({ alg: 'ES256', kid: 'client' });
type Change = Record<string, unknown>;

/** Milliseconds, of both clocks. */
let clock: number;
let issuer: IntrospectingIssuer;
let events: AuthEvent[];
const open: { close(): Promise<unknown> }[] = [];

beforeEach(async () => {
  clock = 1_800_000_000_000;
  events = [];
  issuer = await startIntrospectingIssuer(() => clock / 1000);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
  await issuer.close();
});

type Options = Partial<Omit<AccessTokenVerifierOptions<unknown>, 'introspection'>> & {
  introspection?: Partial<IntrospectionOptions>;
};
const merge = ({ introspection, ...options }: Options = {}) => ({
  issuerBaseURL: issuer.issuer,
  audience: AUDIENCE,
  now: () => clock,
  onEvent: (event: AuthEvent) => events.push(event),
  introspection: {
    clientID: 'orders-api',
    clientSecret: 'secret',
    monotonicNow: () => clock,
    ...introspection,
  },
  ...options,
});
const verifier = (options: Options = {}) => createAccessTokenVerifier(merge(options));

async function start(options: Options = {}): Promise<Api> {
  const { now, onEvent, introspection, ...rest } = merge(options);
  const api = await startApi({ ...rest, now, onEvent, introspection });
  open.push(api);
  return api;
}

/** Returns the reason for refusing, or what is verified. */
const outcomeOf = (verified: Promise<{ payload: { sub?: string } }>) =>
  verified.then(
    ({ payload }) => payload.sub,
    ({ status, reason, code }) => `${status} ${reason ?? code}`,
  );

test('a token is verified, and its content looks like that of a JWT', async () => {
  const claims = {
    namespace: 'https://orders.example.com/',
    schema: z.object({ region: z.string() }),
  };
  issuer.reply = () => issuer.active({ 'https://orders.example.com/region': 'eu' });
  const verify = verifier({ claims });
  const auth = await verify(TOKEN);
  const { active: _, ...payload } = issuer.active({ 'https://orders.example.com/region': 'eu' });
  expect(auth).toEqual({
    header: {},
    payload,
    issuer: issuer.issuer,
    scopes: ['read:orders'],
    claims: { region: 'eu' },
  });
  expect(Object.isFrozen(auth) && Object.isFrozen(auth.payload)).toBe(true);
  expect(await verify(TOKEN)).toBe(auth);
  expect(events).toEqual([
    { type: 'verified', clientId: 'web', cached: false },
    { type: 'verified', clientId: 'web', cached: true },
  ]);
});

describe('the claims obey the rules for JWTs (RFC 7662 §4)', () => {
  test.each<[string, Change, string]>([
    ['without iss', { iss: undefined }, 'alice'],
    ['with several audiences', { aud: ['x', AUDIENCE] }, 'alice'],
    ['without token_type', { token_type: undefined }, 'alice'],
    ['with another spelling of it', { token_type: 'bearer' }, 'alice'],
    ['of another issuer', { iss: 'https://x.example/' }, '401 issuer'],
    ['of an issuer without the slash', { iss: 'SLASH' }, '401 issuer'],
    ['iss is no text', { iss: 1 }, '401 claim'],
    ['for another API', { aud: 'https://other.example.com' }, '401 audience'],
    ['without aud', { aud: undefined }, '401 claim'],
    ['aud is a number', { aud: 1 }, '401 claim'],
    ['aud has a number', { aud: [AUDIENCE, 1] }, '401 claim'],
    ['aud is null', { aud: null }, '401 claim'],
    ['aud is an empty list', { aud: [] }, '401 claim'],
    ['absent members are null', { nbf: null, iat: null, client_id: null, jti: null }, 'alice'],
    [
      'others are null',
      { iss: null, scope: null, token_use: null, typ: null, nonce: null },
      'alice',
    ],
    ['exp is null', { exp: null }, '401 claim'],
    ['without sub', { sub: undefined }, '401 claim'],
    ['sub is empty', { sub: '' }, '401 claim'],
    ['sub is null', { sub: null }, '401 claim'],
    ['without exp', { exp: undefined }, '401 claim'],
    ['exp is a text', { exp: '1900000000' }, '401 claim'],
    ['exp has passed', { exp: 1_799_999_000 }, '401 expired'],
    ['nbf lies ahead', { nbf: 1_800_000_100 }, '401 not_yet_valid'],
    ['iat lies ahead', { iat: 1_800_000_100 }, '401 not_yet_valid'],
    ['iat is a text', { iat: '1' }, '401 claim'],
    ['scope is a number', { scope: 1 }, '401 claim'],
    ['client_id is a number', { client_id: 1 }, '401 claim'],
    ['a refresh token', { token_type: 'refresh_token' }, '401 type'],
    ['a token of an unknown type', { token_type: 'mac' }, '401 type'],
    ['a type that is no text', { token_type: 1 }, '401 type'],
    ['a refresh token of Hydra', { token_use: 'refresh_token' }, '401 type'],
    ['an access token of Hydra', { token_use: 'access_token' }, 'alice'],
    ['a refresh token of Keycloak', { typ: 'Refresh' }, '401 type'],
    ['an ID token of Keycloak', { typ: 'ID' }, '401 type'],
    ['an access token of Keycloak', { typ: 'Bearer' }, 'alice'],
    ['a refresh token of PingAM', { tokenName: 'refresh_token' }, '401 type'],
    ['an ID token', { nonce: 'n' }, '401 type'],
    ['a logout token', { events: {} }, '401 type'],
    ['bound to a certificate', { cnf: { 'x5t#S256': 'x' } }, '401 sender_constrained'],
    ['bound to a key', { cnf: { jkt: 'x' } }, '401 sender_constrained'],
    ['bound by type, without a key', { token_type: 'DPoP' }, '401 claim'],
    ['inactive', { active: false }, '401 inactive'],
  ])('%s: %o', async (_name, change, expected) => {
    proves('RFC 7662 §4 token');
    const given = change.iss === 'SLASH' ? { iss: issuer.issuer.slice(0, -1) } : change;
    issuer.reply = () => issuer.active(given);
    expect(await outcomeOf(verifier()(TOKEN))).toBe(expected);
    const last = events.at(-1);
    expect(last?.type).toBe(expected === 'alice' ? 'verified' : 'refused');
    expect(JSON.stringify(events)).not.toContain(TOKEN);
  });

  test('an answer without aud is accepted only by an option, and only with a token_type', async () => {
    proves('RFC 7662 §4 audience');
    const verify = verifier({ introspection: { unsafeMissingAudience: true } });
    issuer.reply = () => issuer.active({ aud: undefined });
    const { payload } = await verify(TOKEN);
    expect(payload.aud).toBe(AUDIENCE);
    issuer.reply = () => issuer.active({ aud: [] });
    expect(await outcomeOf(verify('empty'))).toBe('alice');
    issuer.reply = () => issuer.active({ aud: [], token_type: null });
    expect(await outcomeOf(verify('neither'))).toBe('401 type');
    issuer.reply = () => issuer.active({ aud: undefined, token_type: undefined });
    expect(await outcomeOf(verify('other'))).toBe('401 type');
    issuer.reply = () => issuer.active({ aud: 'https://other.example.com' });
    expect(await outcomeOf(verify('third'))).toBe('401 audience');
  });

  test('the profile rfc9068 is for JWTs: an answer needs no jti', async () => {
    expect(await outcomeOf(verifier({ profile: 'rfc9068' })(TOKEN))).toBe('alice');
  });
});

describe('what is asked for', () => {
  test.each([
    ['one part', 'abc'],
    ['two parts', 'ory_at_abc.def'],
    ['three parts that are no JWT', 'a.b.c'],
    ['four', 'a.b.c.d'],
    ['an encrypted JWT', 'eyJhbGciOiJkaXIifQ..a.b.c'],
    ['all characters of a token (RFC 6750 §2.1)', 'aA0-._~+/=='],
  ])('%s', async (_name, token) => {
    expect(await outcomeOf(verifier()(token))).toBe('alice');
    expect(issuer.questions[0]?.form.get('token')).toBe(token);
  });

  test('no valid or broken JWT, and no text that cannot be a token', async () => {
    const verify = verifier();
    const jwt = issuer.sign({}, issuer.active(), { typ: 'at+jwt' });
    expect(await outcomeOf(verify(jwt))).toBe('alice');
    const [header, payload, signature] = jwt.split('.') as [string, string, string];
    const space = Buffer.from(` {"alg":"RS256"}`).toString('base64url');
    expect(
      await Promise.all(
        [
          `${header}.${payload}.${'A'.repeat(signature.length)}`,
          `${header}.${payload}.`,
          `${header}.x.${signature}`,
          `${space}.x.y`,
          `${'a'.repeat(20_000)}`,
          'a b',
          'ä',
        ].map((token) => outcomeOf(verify(token))),
      ),
    ).toEqual([
      '401 signature',
      '401 malformed',
      '401 malformed',
      '401 malformed',
      '401 oversized',
      '400 ERR_INVALID_REQUEST',
      '400 ERR_INVALID_REQUEST',
    ]);
    expect(issuer.questions).toEqual([]);
  });

  test('without the option, no opaque token is accepted', async () => {
    const { introspection: _, ...options } = merge();
    expect(await outcomeOf(createAccessTokenVerifier(options)(TOKEN))).toBe('401 malformed');
    expect(issuer.questions).toEqual([]);
  });
});

describe('a JWT that lacks claims, as the lightweight tokens of Keycloak', () => {
  const light = (change: Change = {}, header: Change = {}) => {
    const { active: _, sub: __, aud: ___, ...claims } = issuer.active();
    const claimsOfJwt = { aud: undefined, token_introspection: undefined, ...claims, ...change };
    return issuer.sign({}, claimsOfJwt, { typ: 'JWT', ...header });
  };

  test.each<[string, () => string]>([
    ['sub and aud', () => light()],
    ['sub', () => light({ aud: AUDIENCE })],
    ['aud', () => light({ sub: 'alice' })],
  ])('without %s, is asked for', async (_name, token) => {
    expect(await outcomeOf(verifier()(token()))).toBe('alice');
    expect(issuer.questions).toHaveLength(1);
  });

  test.each<[string, () => string, string]>([
    ['of another issuer', () => light({ iss: 'https://x.example/' }), '401 issuer'],
    ['for another API', () => light({ aud: 'x' }), '401 audience'],
    ['expired', () => light({ exp: 1_799_999_000 }), '401 expired'],
    ['without exp', () => light({ exp: undefined }), '401 claim'],
    ['of another type', () => light({}, { typ: 'logout+jwt' }), '401 type'],
    ['with an algorithm that is not accepted', () => light({}, { alg: 'HS512' }), '401 algorithm'],
    ['an ID token', () => light({ nonce: 'n' }), '401 type'],
    ['an ID token by its claim typ', () => light({ typ: 'ID' }), '401 type'],
    ['with a wrong signature', () => `${light().slice(0, -8)}AAAAAAAA`, '401 signature'],
    ['of an unknown key', () => light({}, { kid: 'x' }), '401 key'],
    ['bound to a key', () => light({ cnf: { jkt: 'x'.repeat(43) } }), '401 sender_constrained'],
  ])('%s, is refused without a request', async (_name, token, expected) => {
    expect(await outcomeOf(verifier()(token()))).toBe(expected);
    expect(issuer.questions).toEqual([]);
  });

  test('is refused with the profile rfc9068, and without the option', async () => {
    const { introspection: _, ...options } = merge();
    const strict = { profile: 'rfc9068' } as const;
    const token = light({}, { typ: 'at+jwt' });
    expect(await outcomeOf(verifier(strict)(token))).toBe('401 claim');
    expect(await outcomeOf(createAccessTokenVerifier(options)(light()))).toBe('401 claim');
    expect(issuer.questions).toEqual([]);
  });
});

describe('a token that is bound to a key (RFC 9449)', () => {
  const cnf = { jkt: thumbprintOf(key) };
  const send = (api: Api, proofKey = key, scheme = 'DPoP') => {
    const url = `${baseURL}/`;
    const dpop = createProof({
      key: proofKey,
      method: 'GET',
      url,
      token: TOKEN,
      now: clock / 1000,
    });
    return api.send({ Authorization: `${scheme} ${TOKEN}`, DPoP: dpop });
  };

  test('needs a proof of that key', async () => {
    const api = await start({ dpop: { baseURL } });
    issuer.reply = () => issuer.active({ cnf, token_type: 'DPoP' });
    expect((await send(api)).status).toBe(200);
    expect((await send(api)).status).toBe(200);
    expect((await send(api, testKey({ alg: 'ES256' }))).error).toBe('invalid_token');
    expect((await api.send({ Authorization: `DPoP ${TOKEN}` })).error).toBe('invalid_dpop_proof');
    expect((await api.get(TOKEN)).error).toBe('invalid_token');
    expect(issuer.questions).toHaveLength(1);
  });

  test('is the only accepted kind where the API requires it', async () => {
    const api = await start({ dpop: { baseURL, required: true } });
    expect((await api.get(TOKEN)).error).toBe('invalid_token');
    expect((await send(api)).error).toBe('invalid_token');
  });
});

test('30 requests at once with one token cause one introspection', async () => {
  const api = await start();
  issuer.reply = () => new Promise((resolve) => setTimeout(() => resolve(issuer.active()), 50));
  const answers = await Promise.all(Array.from({ length: 30 }, () => api.get(TOKEN)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(issuer.questions).toHaveLength(1);
});

test('a revoked token is refused after 30 seconds, one that expires at its end', async () => {
  proves('RFC 7662 §4 caching');
  const verify = verifier();
  issuer.reply = ({ form }) =>
    issuer.active(form.get('token') === 'short' ? { exp: clock / 1000 + 10 } : {});
  await Promise.all([verify('long'), verify('short')]);
  issuer.reply = () => ({ active: false });
  clock += 9_999;
  expect(await outcomeOf(verify('short'))).toBe('alice');
  clock += 1;
  expect(await outcomeOf(verify('short'))).toBe('401 inactive');
  clock += 19_999;
  expect(await outcomeOf(verify('long'))).toBe('alice');
  clock += 1;
  expect(await outcomeOf(verify('long'))).toBe('401 inactive');
});

test('isRevoked is called on every request, with the same claims', async () => {
  const seen: unknown[] = [];
  let revoked = false;
  const verify = verifier({
    isRevoked: (claims) => {
      seen.push(claims);
      return revoked;
    },
  });
  await verify(TOKEN);
  await verify(TOKEN);
  revoked = true;
  expect(await outcomeOf(verify(TOKEN))).toBe('401 revoked');
  expect(seen).toHaveLength(3);
  expect(new Set(seen).size).toBe(1);
});

test('without an answer the request gets 503 with Retry-After, and the log its reason', async () => {
  const api = await start();
  issuer.reply = () => replyWith(401, { error: 'invalid_client' });
  const { status, retryAfter, challenge, body } = await api.get(TOKEN);
  expect({ status, retryAfter, challenge }).toEqual({
    status: 503,
    retryAfter: '2',
    challenge: null,
  });
  expect(body).not.toContain('invalid_client');
  expect(events).toEqual([
    {
      type: 'refused',
      code: 'ERR_INTROSPECTION_UNAVAILABLE',
      reason: 'unavailable',
      detail: expect.stringContaining('does not accept this clientID'),
    },
  ]);
});

describe('several issuers', () => {
  let other: TestIssuer;
  beforeEach(async () => {
    other = await startTestIssuer({ keys: [testKey({}, 1)], now: () => clock });
    open.push(other);
  });
  const list = () => {
    const { issuerBaseURL, introspection } = merge();
    return [{ issuerBaseURL: other.issuer }, { issuerBaseURL, introspection }];
  };
  const several = (
    issuers: AccessTokenVerifierOptions<unknown>['issuers'],
    options: Partial<AccessTokenVerifierOptions<unknown>> = {},
  ) =>
    createAccessTokenVerifier({
      ...options,
      issuers,
      audience: AUDIENCE,
      now: () => clock,
      onEvent: () => {},
    });

  test('an opaque token is shown only to the one with introspection', async () => {
    const verify = several(list());
    expect(await outcomeOf(verify(TOKEN))).toBe('alice');
    expect(other.requests).toEqual([]);
    const jwt = other.token({ sub: 'bob', aud: AUDIENCE });
    expect(await outcomeOf(verify(jwt))).toBe('bob');
    expect(await outcomeOf(verify(other.token({ aud: AUDIENCE })))).toBe('401 claim');
    expect(issuer.questions).toHaveLength(1);
  });

  test('an answer that names the other issuer is refused', async () => {
    issuer.reply = () => issuer.active({ iss: other.issuer });
    expect(await outcomeOf(several(list())(TOKEN))).toBe('401 issuer');
  });

  test.each<[string, () => AccessTokenVerifierOptions<unknown>['issuers'], string]>([
    ['two', () => list().map((each) => ({ ...list()[1], ...each })), 'one issuer only'],
    [
      'an issuer without metadata',
      () => [{ ...list()[1], jwksURL: `${issuer.issuer}jwks` }],
      'needs the metadata',
    ],
    [
      'wrong',
      () => [{ ...list()[1], introspection: { clientID: '' } }],
      'issuers[0]: introspection',
    ],
  ])('%s: the options are refused', (_name, issuers, text) => {
    expect(() => several(issuers())).toThrow(text);
  });

  test('a resolver has none: an opaque token names no issuer to look up', async () => {
    const resolve = (iss: string) => list().find((each) => each.issuerBaseURL === iss);
    const verify = several(resolve, { unsafeAllowHTTP: true });
    expect(await outcomeOf(verify(TOKEN))).toBe('401 malformed');
    const jwt = issuer.sign({}, issuer.active(), { typ: 'at+jwt' });
    expect(await outcomeOf(verify(jwt))).toBe('503 ERR_ISSUERS_UNAVAILABLE');
  });
});
