import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import type { AuthorizationServer } from '../../src/index.ts';
import { byClock, checkClock } from '../../src/token/token-claims.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { API, requestTokens, tokensFor } from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo();
});
afterAll(stopServers);

const now = () => Math.floor(Date.now() / 1000);
const around = (time: number) => (value: unknown) =>
  expect(Math.abs(Number(value) - time)).toBeLessThan(30);

test('the clock moves times, and nothing else', () => {
  const claims = { iat: 10, exp: 20, nbf: 5, auth_time: 1, sub: 'x', updated_at: 3 };
  expect(byClock(claims, { seconds: -5 })).toEqual({
    ...claims,
    iat: 5,
    exp: 15,
    nbf: 0,
    auth_time: -4,
  });
  expect(byClock({ exp: 'soon' }, { seconds: 5 })).toEqual({ exp: 'soon' });
});

test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 315_360_001, '5' as unknown as number])(
  'a clock of %p is rejected, and the earlier one stays',
  (seconds) => {
    expect(() => checkClock(seconds)).toThrow('clock: give whole seconds');
    server.clock = 7;
    expect(() => {
      server.clock = seconds;
    }).toThrow(RangeError);
    expect(server.clock).toBe(7);
  },
);

test.each([
  ['right', 0],
  ['ahead', 7200],
  ['behind', -100_000],
])('a clock that is %s is in both tokens, in a refreshed one and a machine’s', async (_, clock) => {
  server.clock = clock;
  const { tokens } = await tokensFor(server, 'alice', { max_age: '3600' });
  const refreshed = await requestTokens(server, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token ?? '',
  });
  const machine = await requestTokens(
    server,
    { grant_type: 'client_credentials', audience: API },
    'contacts-cli',
  );
  expect(refreshed.body.expires_in).toBe(86_400);
  for (const token of [tokens, refreshed.body, machine.body].map((one) => one.access_token)) {
    const { iat, exp } = decodeJwt(token ?? '');
    around(now() + clock)(iat);
    expect(Number(exp) - Number(iat)).toBe(86_400);
  }
  for (const token of [tokens.id_token, refreshed.body.id_token]) {
    const { iat, exp, auth_time } = decodeJwt(token ?? '');
    around(now() + clock)(iat);
    around(now() + clock)(auth_time);
    expect(Number(exp) - Number(iat)).toBe(36_000);
  }
  // The issuer's own clock is this one: its userinfo endpoint takes the token.
  const headers = { authorization: `Bearer ${tokens.access_token}` };
  expect((await got(`${server.url}/userinfo`, { headers })).statusCode).toBe(200);
});
