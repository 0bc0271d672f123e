import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createProof,
  startTestIssuer,
  type TestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import { memorySet } from '@koa-oauth/resource-server';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import {
  audience,
  bearer,
  namespace,
  logoutToken as newLogoutToken,
  type RunningApp,
  startApp,
} from './support/running-app.ts';

let issuer: TestIssuer;
const open: RunningApp[] = [];
beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
afterAll(() => issuer.close());

async function start(options: Parameters<typeof startApp>[0] = {}): Promise<RunningApp> {
  const running = await startApp({ issuerBaseURL: issuer.issuer, ...options });
  open.push(running);
  return running;
}

const mint = (claims: object) => issuer.token({ sub: 'auth0|alice', aud: audience, ...claims });

const logoutToken = (claims: Record<string, unknown>) => newLogoutToken(issuer, claims);

const tell = ({ api }: RunningApp, logout_token: string) =>
  api.post('backchannel-logout', { form: { logout_token } });

describe('a logout token', () => {
  test('ends the session that "sid" or the custom claim names, and no other of the user', async () => {
    proves('ASVS 7.1.3');
    const running = await start();
    const status = async (claims: object) =>
      (await running.api('me', bearer(mint(claims)))).statusCode;
    const named = [{ sid: 's1' }, { [`${namespace}sid`]: 's1' }];
    const others = [{ sid: 's2' }, { [`${namespace}sid`]: 's2' }, {}];
    for (const claims of [...named, ...others]) expect(await status(claims)).toBe(200);
    const { statusCode, headers, body } = await tell(running, logoutToken({ sid: 's1' }));
    expect([statusCode, body, headers['cache-control']]).toEqual([200, '', 'no-store']);
    for (const claims of named) expect(await status(claims)).toBe(401);
    for (const claims of others) expect(await status(claims)).toBe(200);
    const refused = await running.api('me', bearer(mint({ sid: 's1' })));
    expect(refused.headers['www-authenticate']).toContain('error="invalid_token"');
    expect(running.logged()).toContain('"reason":"revoked"');
    expect(running.logged()).not.toMatch(/eyJ/);
  });

  test('of each issuer ends the session at that issuer only', async () => {
    const other = await startTestIssuer({ keys: [testKey({ alg: 'ES256' })] });
    const running = await start({ otherIssuers: [other.issuer] });
    const tokens = [issuer, other].map((one) =>
      bearer(one.token({ sub: 'auth0|alice', aud: audience, sid: 's1' })),
    );
    const statuses = async () =>
      Promise.all(tokens.map(async (one) => (await running.api('me', one)).statusCode));
    expect(await statuses()).toEqual([200, 200]);
    expect((await tell(running, newLogoutToken(other, { sid: 's1' }))).statusCode).toBe(200);
    expect(await statuses()).toEqual([200, 401]);
    await other.close();
  });

  test('that is wrong is a problem, logged with its rule, and counts as a refused token', async () => {
    const running = await start({ refusedPerAddress: 2 });
    const wrong = logoutToken({ sid: 's1', nonce: 'n' });
    const { statusCode, headers, body } = await tell(running, wrong);
    expect([statusCode, headers['content-type']]).toEqual([400, 'application/problem+json']);
    expect(body).toMatchObject({
      code: 'ERR_LOGOUT_TOKEN',
      detail: 'the logout token is not valid',
    });
    expect(running.logged()).toContain('\\"nonce\\" is not allowed');
    expect(running.logged()).not.toMatch(/eyJ/);
    const flood = await Promise.all(Array.from({ length: 20 }, () => tell(running, 'x.y.z')));
    expect(flood.filter((answer) => answer.statusCode === 429)).toHaveLength(19);
    // A good one from there passes.
    expect((await tell(running, logoutToken({ sid: 's1' }))).statusCode).toBe(200);
  });

  test('for an application that is not configured is refused; without any there is no route', async () => {
    const running = await start();
    const other = logoutToken({ sid: 's1', aud: 'another' });
    expect((await tell(running, other)).statusCode).toBe(400);
    const none = await start({ logoutClientIds: [] });
    expect((await tell(none, logoutToken({ sid: 's1' }))).statusCode).toBe(404);
  });
});

test('used proofs without room for another keep out no bearer token, and no logout token', async () => {
  const key = testKey({ alg: 'ES256' });
  const running = await start({ usedProofs: memorySet({ maxEntries: 1 }) });
  const bound = mint({ cnf: { jkt: thumbprintOf(key) }, sid: 's1' });
  const prove = async () => {
    const url = 'http://localhost:3001/me';
    const dpop = createProof({ key, method: 'GET', url, token: bound });
    const answer = await running.api('me', { headers: { authorization: `DPoP ${bound}`, dpop } });
    return answer.statusCode;
  };
  const token = bearer(mint({ sid: 's1' }));
  expect([await prove(), await prove()]).toEqual([200, 503]);
  expect((await running.api('me', token)).statusCode).toBe(200);
  expect((await tell(running, logoutToken({ sid: 's1' }))).statusCode).toBe(200);
  expect((await running.api('me', token)).statusCode).toBe(401);
});

test('a store that is away: 503 for tokens and logout tokens, then recovery', async () => {
  const store = memorySet();
  let isUp = true;
  const failing = new Proxy(store, {
    get: (target, name: keyof typeof store) =>
      isUp ? (target[name] as () => unknown).bind(target) : () => Promise.reject(new Error('down')),
  });
  const running = await start({ revokedTokens: failing });
  const request = bearer(mint({ sid: 's1' }));
  expect((await running.api('me', request)).statusCode).toBe(200);
  isUp = false;
  for (const answer of [
    await running.api('me', request),
    await tell(running, logoutToken({ sid: 's1' })),
  ]) {
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '2']);
    expect(answer.body).toMatchObject({ code: 'ERR_REVOCATION_UNAVAILABLE' });
  }
  expect((await running.api('healthz')).statusCode).toBe(200);
  isUp = true;
  expect((await running.api('me', request)).statusCode).toBe(200);
  expect((await tell(running, logoutToken({ sid: 's1' }))).statusCode).toBe(200);
  expect((await running.api('me', request)).statusCode).toBe(401);
});
