import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import {
  createProof,
  startTestIssuer,
  type TestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import type { Context } from 'koa';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import type { AuthEvent } from '../../src/events.ts';
import type { AuthOptions } from '../../src/options.ts';
import { requiredSignIn, type SignInOptions } from '../../src/requirements/required-sign-in.ts';
import { type Api, startApi } from '../support/protected-api.ts';

const audience = 'https://api.example.com';
const key = testKey({ alg: 'ES256' });
const NOW = 1_800_000_000;
const now = () => NOW * 1000;
const MFA = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';

let issuer: TestIssuer;
const open: Api[] = [];
beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()], now });
});
afterEach(() => Promise.all(open.splice(0).map((api) => api.close())));
afterAll(() => issuer.close());

async function start(needs: SignInOptions, options: Partial<AuthOptions<unknown>> = {}) {
  const api = await startApi(
    { issuerBaseURL: issuer.issuer, audience, realm: 'api', now, ...options },
    { behind: [requiredSignIn({ now, ...needs })] },
  );
  open.push(api);
  return api;
}

const token = (claims: object) => issuer.token({ sub: 'alice', aud: audience, ...claims });

test.each<[SignInOptions, object]>([
  [{ acr: MFA }, { acr: MFA }],
  [{ acr: 'gold silver' }, { acr: 'silver' }],
  [{ acr: ['gold', 'silver'] }, { acr: 'gold' }],
  [{ maxAge: 300 }, { auth_time: NOW - 300 }],
  [{ maxAge: 300 }, { auth_time: NOW - 360 }],
  [{ maxAge: 300, clockTolerance: 0 }, { auth_time: NOW - 300 }],
  [{ maxAge: 300 }, { auth_time: NOW + 60 }],
  [{ maxAge: 0 }, { auth_time: NOW }],
  [
    { acr: MFA, maxAge: 300 },
    { acr: MFA, auth_time: NOW },
  ],
])('%j lets in a token with %j', async (needs, claims) => {
  expect(await (await start(needs)).get(token(claims))).toMatchObject({ status: 200 });
});

test.each<[SignInOptions, object]>([
  [{ acr: MFA }, {}],
  [{ acr: MFA }, { acr: '' }],
  [{ acr: MFA }, { acr: MFA.toUpperCase() }],
  [{ acr: MFA }, { acr: `${MFA} ` }],
  [{ acr: MFA }, { acr: [MFA] }],
  [{ acr: MFA }, { acr: null }],
  [{ acr: MFA }, { amr: ['mfa'] }],
  [{ acr: '1' }, { acr: 1 }],
  [{ acr: 'gold silver' }, { acr: 'gold silver' }],
  [{ maxAge: 300 }, {}],
  [{ maxAge: 300 }, { iat: NOW }],
  [{ maxAge: 300 }, { auth_time: NOW - 361 }],
  [{ maxAge: 300, clockTolerance: 0 }, { auth_time: NOW - 301 }],
  [{ maxAge: 300 }, { auth_time: NOW + 61 }],
  [{ maxAge: 300 }, { auth_time: String(NOW) }],
  [{ maxAge: 300 }, { auth_time: [NOW] }],
  [{ maxAge: 300 }, { auth_time: null }],
  [{ maxAge: 300 }, { auth_time: true }],
  [{ acr: MFA, maxAge: 300 }, { acr: MFA }],
  [
    { acr: MFA, maxAge: 300 },
    { acr: MFA, auth_time: NOW - 999 },
  ],
  [{ acr: MFA, maxAge: 300 }, { auth_time: NOW }],
])('%j refuses a token with %j, and names the sign-in (RFC 9470 §3)', async (needs, claims) => {
  proves('RFC 9068 §2.2.1');
  const answer = await (await start(needs)).get(token(claims));
  expect(answer).toMatchObject({ status: 401, error: 'insufficient_user_authentication' });
  const { acr, maxAge } = needs;
  const values = Array.isArray(acr) ? acr.join(' ') : acr;
  const wanted = [
    ...(values === undefined ? [] : [`acr_values="${values}"`]),
    ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`]),
  ];
  expect(
    answer.challenge?.split(', ').filter((pair) => /^(acr_values|max_age)=/.test(pair)),
  ).toEqual(wanted);
});

test('the challenge is that of the scheme in use, Bearer or DPoP', async () => {
  const dpop = { baseURL: audience };
  const api = await start({ acr: 'gold', maxAge: 9 }, { dpop });
  const bearer = await api.get(token({}));
  expect(bearer.challenge).toMatch(/^Bearer /);
  expect(bearer.challenge).toContain('acr_values="gold", max_age="9"');
  const bound = token({ cnf: { jkt: thumbprintOf(key) } });
  const proof = createProof({ key, method: 'GET', url: `${audience}/`, token: bound, now: NOW });
  const answer = await api.send({ Authorization: `DPoP ${bound}`, DPoP: proof });
  expect(answer.status).toBe(401);
  // One challenge has the error, the other does not.
  expect(answer.challenge).toMatch(
    /^DPoP realm="api", error="insufficient_user_authentication", .*, Bearer realm="api"$/,
  );
  expect(answer.challenge?.split('insufficient_user_authentication')).toHaveLength(2);
  expect(answer.challenge).toContain('acr_values="gold", max_age="9"');
});

test('a request without a token is told so', async () => {
  const answer = await (await start({ acr: MFA }, { authRequired: false })).send({});
  expect(answer).toMatchObject({ status: 401, challenge: 'Bearer realm="api"' });
});

test('the event names the reason', async () => {
  const events: AuthEvent[] = [];
  const api = await start({ acr: MFA }, { onEvent: (event) => events.push(event) });
  await api.get(token({}));
  expect(events.at(-1)).toMatchObject({
    type: 'refused',
    code: 'ERR_INSUFFICIENT_USER_AUTHENTICATION',
    reason: 'insufficient_user_authentication',
  });
});

test.each<[string, unknown, string]>([
  ['nothing', undefined, 'give acr or maxAge'],
  ['an empty object', {}, 'give acr or maxAge'],
  ['an empty acr', { acr: ' ' }, 'acr must be'],
  ['an empty list', { acr: [] }, 'acr must be'],
  ['two words in one entry', { acr: ['a b'] }, 'acr must be'],
  ['a quote', { acr: 'a"b' }, 'acr must be'],
  ['a line break', { acr: 'a\nb' }, 'acr must be'],
  ['a number as acr', { acr: 1 }, 'acr must be'],
  ['a negative age', { maxAge: -1 }, 'maxAge must be'],
  ['half a second', { maxAge: 0.5 }, 'maxAge must be'],
  ['an age in a string', { maxAge: '300' }, 'maxAge must be'],
  ['an endless age', { maxAge: Number.POSITIVE_INFINITY }, 'maxAge must be'],
  ['a wide tolerance', { maxAge: 1, clockTolerance: 301 }, 'clockTolerance must be'],
  ['an unknown option', { maxAge: 1, max_age: 1 }, 'unknown: max_age'],
])('made of %s says so at once', (_, options, fault) => {
  const make = () => requiredSignIn(options as SignInOptions);
  expect(make).toThrow(InvalidOptions);
  expect(make).toThrow(`requiredSignIn: ${fault}`);
});

test('a list changed afterwards changes nothing', async () => {
  const acr = ['gold'];
  const guard = requiredSignIn({ acr });
  acr[0] = 'lead';
  const context = { state: { auth: { payload: { acr: 'lead' } } } } as unknown as Context;
  await expect(guard(context, async () => {})).rejects.toMatchObject({
    challenge: { acr_values: 'gold' },
  });
});
