import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import { testKey } from '../../../../test/support/test-keys.ts';
import type { CookieJar } from '../../src/browser/cookies.ts';
import { Client } from '../../src/client.ts';
import type { ClientEvent } from '../../src/events.ts';
import { createSessionKey } from '../../src/oauth/dpop.ts';
import type { Session, SessionContent } from '../../src/session/session.ts';
import type { SessionStore } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { AccessTokens, type SupplyParams } from '../../src/tokens/access-token.ts';
import { checkedOptions } from '../support/options.ts';
import {
  type Answer,
  SIGN_INS_SCOPE,
  startTokenServer,
  type TokenServer,
} from '../support/token-server.ts';

const API = 'https://api.example';
const OTHER_API = 'https://other.example';
const noCookies: CookieJar = { get: () => undefined, set() {}, clear() {}, names: () => [] };

let server: TokenServer;
let store: SessionStore;
let now: number;
let warnings: unknown[];
let events: ClientEvent[];

beforeAll(async () => {
  server = await startTokenServer();
});
beforeEach(() => {
  now = Date.now();
  warnings = [];
  events = [];
  store = memoryStore();
  server.grants.length = 0;
  server.revoked.length = 0;
  Object.assign(server, { delay: 0, leeway: false, rotates: true, onGrant: () => undefined });
  server.hasKeys = true;
});
afterEach(() => store.close());
afterAll(() => server.close());

type Process = ReturnType<typeof startProcess>;

/** Starts one process of an app. Processes share only the store. */
function startProcess({ leaseDuration = 1000, resource = false } = {}) {
  const client = new Client(
    checkedOptions({
      issuerBaseURL: server.issuer,
      session: { store },
      authorizationParams: resource ? { resource: API } : {},
      now: () => now,
      onEvent(event) {
        if (event.type === 'warning') warnings.push(event);
        else if (!('issuer' in event)) events.push(event);
      },
    }),
  );
  const { sessions } = client;
  const accessTokens = new AccessTokens(client, {
    leaseDuration,
    random: () => 0,
    monotonicNow: () => now,
  });
  const tokenOf = async (session: Session, params?: SupplyParams) =>
    (await accessTokens.supply(session, params)).accessToken.value;
  return { sessions, accessTokens, tokenOf };
}

/** A session whose token ends in so many seconds; it was issued for an hour. */
async function signIn(
  { sessions }: Process,
  expiresIn: number | undefined,
  change: Partial<SessionContent> = {},
): Promise<Session> {
  const seconds = Math.floor(now / 1000);
  return sessions.open(noCookies, {
    claims: {
      iss: server.issuer,
      sub: 'user-1',
      aud: 'client-1',
      iat: seconds,
      exp: seconds + 300,
      nonce: 'nonce-1',
      auth_time: seconds - 5,
    },
    idToken: 'i.d.t',
    loginId: 'login-1',
    requestedScope: `${SIGN_INS_SCOPE} delete`,
    requestedAudience: API,
    accessToken: {
      value: 'old',
      expiresAt: expiresIn === undefined ? undefined : seconds + expiresIn,
      scope: SIGN_INS_SCOPE,
      requestedScope: `${SIGN_INS_SCOPE} delete`,
      issuedAt: seconds + (expiresIn ?? 0) - 3600,
    },
    refreshToken: server.begin(),
    ...change,
  });
}

const answering = (answer: Answer) => {
  server.onGrant = () => answer;
};
const refusing = (error: string) => answering({ status: 400, body: { error } });
const refreshTokenOf = async ({ sessions }: Process, session: Session) =>
  (await sessions.reload(session))?.content.refreshToken;
const used = () => server.grants.map((form) => form.get('refresh_token'));

describe('T: tokens', () => {
  test('a token without a known end is used', async () => {
    const one = startProcess();
    const session = await signIn(one, undefined);
    expect(await one.tokenOf(session)).toBe('old');
    expect(server.grants).toHaveLength(0);
  });

  test.each([
    ['expires_in missing: no known end', { expires_in: undefined }, undefined],
    ['expires_in 0: no known end', { expires_in: 0 }, undefined],
    ['expires_in as text', { expires_in: '60' }, 60],
  ])('%s', async (_name, more, seconds) => {
    const one = startProcess();
    answering({ more });
    const { accessToken } = await one.accessTokens.supply(await signIn(one, -1));
    const { expiresAt, issuedAt } = accessToken;
    expect(expiresAt).toBe(seconds === undefined ? undefined : issuedAt + seconds);
  });

  test('a token that lasts less than the leeway is used for half of its time', async () => {
    const one = startProcess();
    answering({ more: { expires_in: 10 } });
    const session = await signIn(one, -1);
    expect(await one.tokenOf(session)).toBe(await one.tokenOf(session));
    expect(server.grants).toHaveLength(1);
    now += 6000;
    await one.tokenOf(session);
    expect(server.grants).toHaveLength(2);
  });

  test.each([
    ['scope missing: as it was', { scope: undefined }, SIGN_INS_SCOPE],
    ['a narrower scope is kept as what was granted', { scope: 'openid read' }, 'openid read'],
  ])('%s', async (_name, more, scope) => {
    const one = startProcess();
    answering({ more });
    const { session, accessToken } = await one.accessTokens.supply(await signIn(one, -1));
    expect(accessToken).toMatchObject({ scope, requestedScope: `${SIGN_INS_SCOPE} delete` });
    expect((await one.sessions.reload(session))?.content.accessToken).toEqual(accessToken);
  });

  test('token_type may be in any case', async () => {
    const one = startProcess();
    answering({ more: { token_type: 'bEARER' } });
    expect(await one.tokenOf(await signIn(one, -1))).toMatch(/^access-/);
  });

  test('a token of another type is refused', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    answering({ more: { token_type: 'DPoP' } });
    await expect(one.tokenOf(session)).rejects.toMatchObject({ code: 'ERR_TOKEN_RESPONSE' });
    expect((await one.sessions.reload(session))?.content.accessToken?.value).toBe('old');
  });

  test('without a new refresh token the old one stays', async () => {
    const one = startProcess();
    server.rotates = false;
    answering({ more: { refresh_token: undefined } });
    const session = await signIn(one, -1);
    await one.tokenOf(session);
    expect(await refreshTokenOf(one, session)).toBe(session.content.refreshToken);
  });

  test('a new refresh token is stored before anyone has the access token, the old one gone', async () => {
    proves('RFC 9700 §2.2.2', 'FAPI 2.0 §5.3.3.1-6');
    const one = startProcess();
    const session = await signIn(one, -1);
    const { session: supplied } = await one.accessTokens.supply(session);
    const next = session.content.refreshToken?.replace('.1', '.2');
    expect(supplied.content.refreshToken).toBe(next);
    expect(await one.sessions.reload(session)).toEqual(supplied);
    expect(JSON.stringify(supplied)).not.toContain(session.content.refreshToken);
  });

  const ID_TOKENS: [string, Record<string, unknown>][] = [
    ['another sub', { sub: 'user-2' }],
    ['another iss', { iss: 'https://other.example/' }],
    ['another aud', { aud: ['client-1', 'client-2'], azp: 'client-1' }],
    ['an older auth_time', { auth_time: 1 }],
    ['another nonce', { nonce: 'nonce-2' }],
  ];
  test.each(ID_TOKENS)('a refreshed ID token with %s leads to a sign-in', async (_name, claims) => {
    const one = startProcess();
    const session = await signIn(one, -1);
    now += 20_000;
    answering({ more: { id_token: server.idToken(claims) } });
    for (let i = 0; i < 2; i += 1) {
      await expect(one.tokenOf(session)).rejects.toMatchObject({
        code: 'ERR_LOGIN_REQUIRED',
        ...(i === 0 && { cause: { code: 'ERR_ID_TOKEN' } }),
      });
    }
    const { accessToken, refreshToken } = (await one.sessions.reload(session))?.content ?? {};
    expect([accessToken?.value, refreshToken]).toEqual([undefined, undefined]);
    expect(server.grants).toHaveLength(1);
    expect(server.revoked).toEqual([session.content.refreshToken]);
    expect(events).toMatchObject([{ type: 'token_refresh_failed', transient: false }]);
  });

  test('a refused ID token ends nothing while the old token is good', async () => {
    const one = startProcess();
    const session = await signIn(one, 10);
    answering({ more: { id_token: server.idToken({ sub: 'user-2' }) } });
    for (let i = 0; i < 3; i += 1) expect(await one.tokenOf(session)).toBe('old');
    expect(server.grants).toHaveLength(1);
    expect(events).toMatchObject([{ type: 'token_refresh_failed', transient: false }]);
    expect(await refreshTokenOf(one, session)).toBe(session.content.refreshToken);
  });

  test('a refused ID token right after a sign-in is reported: another sign-in would end the same', async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    answering({ more: { id_token: server.idToken({ sub: 'user-2' }) } });
    await expect(one.tokenOf(session, { insteadOf: 'old' })).rejects.toMatchObject({
      code: 'ERR_ID_TOKEN',
      status: 502,
    });
    expect(await refreshTokenOf(one, session)).toBe(session.content.refreshToken);
  });

  test('the claims follow a newer ID token, those about the sign-in stay', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    const { claims } = session.content;
    const idToken = server.idToken({ iat: claims.iat + 1, roles: ['admin'], sid: 'other' });
    answering({ more: { id_token: idToken } });
    const { content } = (await one.accessTokens.supply(session)).session;
    const { iat, exp, roles, nonce, auth_time } = content.claims;
    expect({ iat, roles, nonce, auth_time, exp: exp > iat }).toEqual({
      iat: claims.iat + 1,
      roles: ['admin'],
      nonce: claims.nonce,
      auth_time: claims.auth_time,
      exp: true,
    });
    expect(content.idToken).toBe(idToken);
    expect((await one.sessions.reload(session))?.content).toEqual(content);
  });

  test.each([undefined, null])(
    'the end of the session that a refresh names %s stays',
    async (value) => {
      const one = startProcess();
      const { claims } = (await signIn(one, -1)).content;
      const session_expiry = claims.iat + 600;
      const session = await signIn(one, -1, { claims: { ...claims, session_expiry } });
      answering({ more: { id_token: server.idToken({ session_expiry: value }) } });
      const { expiresAt } = (await one.accessTokens.supply(session)).session;
      expect(expiresAt).toBe(session_expiry);
    },
  );

  test.each<[string, SupplyParams, number]>([
    ['of a refresh for fewer scopes', { scope: 'read' }, 1],
    ['that is older', {}, -1],
  ])('the claims do not follow an ID token %s', async (_name, params, later) => {
    const one = startProcess();
    const session = await signIn(one, -1);
    const { claims, idToken } = session.content;
    answering({
      more: { id_token: server.idToken({ iat: claims.iat + later, roles: ['admin'] }) },
    });
    const { content } = (await one.accessTokens.supply(session, params)).session;
    expect(content).toMatchObject({ claims, idToken });
    expect(content.claims.roles).toBeUndefined();
  });

  test('a refreshed ID token with a bad signature is refused, a good one is not', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    const foreign = server.idToken({}, testKey({ kid: 'key-1' }, 1));
    answering({ more: { id_token: foreign } });
    await expect(one.tokenOf(session)).rejects.toMatchObject({ code: 'ERR_ID_TOKEN' });
    answering({ more: { id_token: server.idToken({}) } });
    expect(await one.tokenOf(await signIn(one, -1))).toMatch(/^access-/);
  });

  test.each([
    ['far from its end', 3600, 0],
    ['outside the leeway and the half of it that varies', 46, 0],
    ['within the leeway', 29, 1],
    ['over', -1, 1],
  ])('a token %s', async (_name, expiresIn, grants) => {
    const one = startProcess();
    const value = await one.tokenOf(await signIn(one, expiresIn));
    expect(value === 'old').toBe(grants === 0);
    expect(server.grants).toHaveLength(grants);
  });

  test('sessions do not all reach the leeway at once, and each at the same time everywhere', async () => {
    const [one, other] = [startProcess(), startProcess()];
    server.onGrant = () => ({ status: 503 });
    const sessions = await Promise.all(Array.from({ length: 20 }, () => signIn(one, 38)));
    const renewing = async (process: Process) => {
      const before = server.grants.length;
      for (const session of sessions) await process.tokenOf(session);
      return server.grants.splice(before).map((form) => form.get('refresh_token'));
    };
    const first = await renewing(one);
    expect(first.length).toBeGreaterThan(0);
    expect(first.length).toBeLessThan(20);
    expect(await renewing(other)).toEqual(first);
  });

  test('without a refresh token, one near its end is used, one past it asks for a sign-in', async () => {
    const one = startProcess();
    const near = await signIn(one, 10, { refreshToken: undefined });
    expect(await one.tokenOf(near)).toBe('old');
    const past = await signIn(one, -1, { refreshToken: undefined });
    const error = await one.tokenOf(past).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_LOGIN_REQUIRED', status: 401 });
    expect(server.grants).toHaveLength(0);
  });

  test('fewer scopes are asked for, stored in addition to the sign-in’s token, and found again as a set', async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    const narrow = await one.accessTokens.supply(session, { scope: 'read' });
    expect(server.grants.map((form) => form.get('scope'))).toEqual(['read']);
    expect(server.grants[0]?.has('audience')).toBe(false);
    expect(narrow.accessToken).toMatchObject({ scope: 'read', requestedScope: 'read' });

    const wider = await one.tokenOf(narrow.session, { scope: ['write', 'read'] });
    expect(await one.tokenOf(session, { scope: 'read write' })).toBe(wider);
    // Several suffice: the one with the fewest scopes is used.
    expect(await one.tokenOf(session, { scope: 'read' })).toBe(narrow.accessToken.value);
    expect(await one.tokenOf(session, { scope: 'write' })).toBe(wider);
    expect(await one.tokenOf(session)).toBe('old');
    expect(server.grants).toHaveLength(2);
    const stored = await one.sessions.reload(session);
    expect(stored?.content.accessToken?.value).toBe('old');
  });

  test("all of the sign-in's scopes, in any order, are the sign-in's own token", async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    expect(await one.tokenOf(session, { scope: 'write openid read', audience: API })).toBe('old');
  });

  test('a narrower token near its end is asked for again, and replaces the one before', async () => {
    const one = startProcess();
    const session = await signIn(one, 7200);
    const first = await one.tokenOf(session, { scope: 'read' });
    now += 3590_000;
    const second = await one.tokenOf(session, { scope: 'read' });
    expect(second).not.toBe(first);
    const stored = await one.sessions.reload(session);
    expect(stored?.content.otherAccessTokens?.map(({ value }) => value)).toEqual([second]);
  });

  test('after a narrower one, the sign-in renews with all of its scopes', async () => {
    const one = startProcess();
    const session = await signIn(one, 60);
    await one.tokenOf(session, { scope: 'read' });
    now += 100_000;
    const { accessToken } = await one.accessTokens.supply(session);
    expect(accessToken.scope).toBe(SIGN_INS_SCOPE);
    expect(server.grants[1]?.has('scope')).toBe(false);
  });

  test('a scope that was not granted is reported without a request', async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    await expect(one.tokenOf(session, { scope: 'read delete admin' })).rejects.toMatchObject({
      code: 'ERR_INSUFFICIENT_SCOPE',
      status: 403,
      scope: 'delete admin',
    });
    expect(server.grants).toHaveLength(0);
  });

  test('a scope that another API did not grant is asked for once, and reported each time', async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    answering({ more: { scope: 'list' } });
    const params = { audience: OTHER_API, scope: 'list purge' };
    for (let i = 0; i < 3; i += 1) {
      await expect(one.tokenOf(session, params)).rejects.toMatchObject({
        code: 'ERR_INSUFFICIENT_SCOPE',
        scope: 'purge',
      });
    }
    expect(server.grants).toHaveLength(1);
    expect(await one.tokenOf(session, { audience: OTHER_API, scope: 'list' })).toMatch(/^access-/);
    expect(server.grants).toHaveLength(1);
  });

  test.each(['invalid_scope', 'consent_required'])(
    '%s is reported as the missing scopes; the session stays',
    async (error) => {
      const one = startProcess();
      const session = await signIn(one, 3600);
      refusing(error);
      await expect(
        one.tokenOf(session, { audience: OTHER_API, scope: 'purge' }),
      ).rejects.toMatchObject({ code: 'ERR_INSUFFICIENT_SCOPE', scope: 'purge' });
      expect(await one.tokenOf(session)).toBe('old');
    },
  );

  test.each(['invalid_scope', 'consent_required'])(
    '%s for a token that is still valid: it serves on',
    async (error) => {
      const one = startProcess();
      const read = { audience: OTHER_API, scope: 'read' };
      const { session, accessToken } = await one.accessTokens.supply(await signIn(one, 9999), read);
      now += 3_595_000;
      refusing(error);
      expect(await one.tokenOf(session, read)).toBe(accessToken.value);
      now += 5000;
      await expect(one.tokenOf(session, read)).rejects.toMatchObject({ scope: 'read' });
    },
  );

  test('eight tokens are kept in addition to the sign-in’s', async () => {
    const one = startProcess();
    let session = await signIn(one, 3600);
    for (let i = 0; i < 10; i += 1) {
      const params = { audience: `https://api-${i}.example` };
      session = (await one.accessTokens.supply(session, params)).session;
    }
    expect(session.content.otherAccessTokens?.map(({ audience }) => audience)).toEqual(
      Array.from({ length: 8 }, (_, i) => `https://api-${i + 2}.example`),
    );
  });

  test.each([
    ['a scope with a quote', { scope: 'read"' }],
    ['a scope that is none', { scope: [5] as unknown as string[] }],
    ['an empty audience', { audience: '' }],
    ['an audience that is no text', { audience: 5 as unknown as string }],
  ])('%s is a TypeError', async (_name, params) => {
    const one = startProcess();
    await expect(one.tokenOf(await signIn(one, 3600), params)).rejects.toThrow(TypeError);
    expect(server.grants).toHaveLength(0);
  });

  test('another API has a token of its own, named as the sign-in named it', async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    const other = await one.tokenOf(session, { audience: OTHER_API });
    expect(server.grants[0]?.get('audience')).toBe(OTHER_API);
    expect(server.grants[0]?.has('scope')).toBe(false);
    expect(await one.tokenOf(session, { audience: OTHER_API })).toBe(other);
    expect(await one.tokenOf(session)).toBe('old');
    expect(await one.tokenOf(session, { audience: 'https://third.example' })).not.toBe(other);
  });

  test('where the sign-in used resource (RFC 8707), so does each refresh', async () => {
    const one = startProcess({ resource: true });
    const session = await signIn(one, -1);
    await one.tokenOf(session);
    await one.tokenOf(session, { audience: OTHER_API, scope: 'list' });
    expect(server.grants.map((form) => form.get('resource'))).toEqual([API, OTHER_API]);
    expect(server.grants.some((form) => form.has('audience'))).toBe(false);
  });

  test('users and APIs share nothing, asked for at once', async () => {
    const one = startProcess();
    const sessions = await Promise.all([signIn(one, -1), signIn(one, -1), signIn(one, -1)]);
    const params: SupplyParams[] = [{}, { audience: OTHER_API }, { scope: 'read' }];
    const values = await Promise.all(
      sessions.flatMap((session) => params.map((each) => one.tokenOf(session, each))),
    );
    expect(new Set(values).size).toBe(9);
    expect(server.grants).toHaveLength(9);
  });
});

describe('R: refresh, once', () => {
  test('100 calls at once in one process make one grant', async () => {
    proves('RFC 6750 §5.3 lifetime');
    const one = startProcess();
    const session = await signIn(one, -1);
    const values = await Promise.all(Array.from({ length: 100 }, () => one.tokenOf(session)));
    expect(new Set(values).size).toBe(1);
    expect(used()).toEqual([session.content.refreshToken]);
  });

  test('calls at once over two processes make one grant', async () => {
    const processes = [startProcess(), startProcess()] as const;
    const session = await signIn(processes[0], -1);
    server.delay = 20;
    const values = await Promise.all(
      Array.from({ length: 50 }, (_, i) => processes[i % 2 ? 0 : 1].tokenOf(session)),
    );
    expect(new Set(values).size).toBe(1);
    expect(server.grants).toHaveLength(1);
  });

  test('a lease whose holder is gone falls back; the next one goes on', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    expect(await one.sessions.acquireLease(session, 100)).toBeDefined();
    expect(await one.tokenOf(session)).toMatch(/^access-/);
    expect(server.grants).toHaveLength(1);
  });

  test('a request that waits too long gets Retry-After, or the old token while it lasts', async () => {
    const one = startProcess({ leaseDuration: 60 });
    for (const [expiresIn, result] of [
      [10, 'old'],
      [-1, 'ERR_TOKEN_ENDPOINT_UNAVAILABLE'],
    ] as const) {
      const session = await signIn(one, expiresIn);
      await one.sessions.acquireLease(session, 10_000);
      const outcome = await one.tokenOf(session).catch((error) => {
        expect(error).toMatchObject({ status: 503, headers: { 'Retry-After': '2' } });
        return error.code;
      });
      expect(outcome).toBe(result);
    }
    expect(server.grants).toHaveLength(0);
  });

  test('a grant that takes longer than the lease keeps it: still one grant', async () => {
    const [one, other] = [startProcess({ leaseDuration: 450 }), startProcess()];
    const session = await signIn(one, -1);
    server.delay = 300;
    const first = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    expect(await other.tokenOf(session)).toBe(await first);
    expect(server.grants).toHaveLength(1);
  });

  test('a lease that was lost and taken over: the one who renewed first is used', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, -1);
    const answerFirst = holdFirstGrant();
    server.leeway = true;
    const first = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    await loseLease(session);
    const second = await other.tokenOf(session);
    answerFirst();
    expect(await first).toBe(second);
    expect(server.grants).toHaveLength(2);
    expect(await refreshTokenOf(one, session)).toBe(
      session.content.refreshToken?.replace('.1', '.2'),
    );
  });

  test('a lease that was lost and is free again: what was granted is stored', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    const answerFirst = holdFirstGrant();
    const supplied = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    await loseLease(session);
    const fence = await one.sessions.acquireLease(session, 1000);
    await one.sessions.releaseLease(session, fence ?? 0);
    answerFirst();
    expect(await supplied).toMatch(/^access-/);
    expect(server.grants).toHaveLength(1);
    expect(await refreshTokenOf(one, session)).toBe(
      session.content.refreshToken?.replace('.1', '.2'),
    );
  });

  /** Makes the server wait with its first grant until the returned function is called. */
  function holdFirstGrant(): () => void {
    let answer: (answer: Answer) => void = () => {};
    const held = new Promise<Answer>((resolve) => {
      answer = resolve;
    });
    server.onGrant = () => (server.grants.length === 1 ? held : undefined);
    return () => answer({ more: {} });
  }

  /** Acts like a process that slept for longer than the lease. */
  async function loseLease(session: Session): Promise<void> {
    const { sessions } = startProcess();
    for (let fence = 1; fence < 10; fence += 1) await sessions.releaseLease(session, fence);
  }

  test('two APIs at once make two grants in turn, the second with the new refresh token', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, 3600);
    server.delay = 10;
    const values = await Promise.all([
      one.tokenOf(session, { audience: OTHER_API }),
      one.tokenOf(session, { scope: 'read' }),
      other.tokenOf(session, { audience: 'https://third.example' }),
    ]);
    expect(new Set(values).size).toBe(3);
    const first = session.content.refreshToken ?? '';
    expect(used()).toEqual([first, first.replace('.1', '.2'), first.replace('.1', '.3')]);
    expect(await refreshTokenOf(one, session)).toBe(first.replace('.1', '.4'));
  });

  test('a later request with the old record makes no grant', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, -1);
    const value = await one.tokenOf(session);
    expect(await one.tokenOf(session)).toBe(value);
    expect(await other.tokenOf(session)).toBe(value);
    expect(server.grants).toHaveLength(1);
  });

  test('a token that an API refused is renewed once, by the request that asks first', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, 3600);
    const asked = [one, other, one].map((each) => each.tokenOf(session, { insteadOf: 'old' }));
    const values = new Set(await Promise.all(asked));
    expect(values.size).toBe(1);
    expect(values).not.toContain('old');
    expect(await one.tokenOf(session, { insteadOf: 'old' })).toBe([...values][0]);
    expect(server.grants).toHaveLength(1);
  });

  test('a renewed token is not renewed again for ten seconds, in no process', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const first = await one.accessTokens.supply(await signIn(one, 3600), { insteadOf: 'old' });
    const { value } = first.accessToken;
    for (const each of [one, other, one]) {
      expect(await each.tokenOf(first.session, { insteadOf: value })).toBe(value);
    }
    const params = { scope: 'read', audience: OTHER_API };
    const { session, accessToken } = await one.accessTokens.supply(first.session, params);
    const insteadOf = accessToken.value;
    expect(await other.tokenOf(session, { ...params, insteadOf })).toBe(insteadOf);
    expect(server.grants).toHaveLength(2);
    now += 11_000;
    expect(await other.tokenOf(session, { insteadOf: value })).not.toBe(value);
    expect(server.grants).toHaveLength(3);
  });

  test('invalid_grant after another process has renewed uses what that one got', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, -1);
    server.delay = 30;
    const late = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    // Without the lease: as a process would that lost it, or an app of an older release.
    const content = { ...session.content, refreshToken: 'stored-by-another' };
    const accessToken = { ...content.accessToken, value: 'of-another', expiresAt: undefined };
    const saved = await other.sessions.save(session, {
      ...content,
      accessToken: accessToken as SessionContent['accessToken'],
    });
    expect(saved).toBeDefined();
    refusing('invalid_grant');
    expect(await late).toBe('of-another');
    expect(await refreshTokenOf(one, session)).toBe('stored-by-another');
  });

  test('the same holds when the authorization server itself says invalid_grant', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, -1);
    server.onGrant = async () => {
      const { accessToken } = session.content;
      await other.sessions.save(session, {
        ...session.content,
        refreshToken: 'stored-by-another',
        accessToken: accessToken && { ...accessToken, value: 'of-another', expiresAt: undefined },
      });
      return { status: 400, body: { error: 'invalid_grant' } };
    };
    expect(await one.tokenOf(session)).toBe('of-another');
    expect(server.grants).toHaveLength(1);
  });

  test('a session that ended during the refresh stays dead, and what was granted is revoked', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    server.delay = 20;
    const supplied = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    await one.sessions.destroy(session);
    await expect(supplied).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(await one.sessions.reload(session)).toBeUndefined();
    expect(server.revoked).toEqual([session.content.refreshToken?.replace('.1', '.2')]);
  });

  test.each<[string, object, boolean]>([
    ['of the same user keeps what was granted (RFC 7009 §2.1)', {}, false],
    ['of another user revokes it', { sub: 'user-2' }, true],
  ])('a sign-in during the refresh %s', async (_name, change, isRevoked) => {
    const one = startProcess();
    const session = await signIn(one, -1);
    // The user has another browser too.
    await signIn(one, 600);
    now += 20_000;
    server.delay = 20;
    const supplied = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    await one.sessions.destroy(session);
    await signIn(one, 600, { claims: { ...session.content.claims, ...change } });
    await expect(supplied).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(server.revoked).toHaveLength(isRevoked ? 1 : 0);
  });

  test('a sign-in during a refresh with a wrong ID token revokes nothing either', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    now += 20_000;
    server.delay = 20;
    answering({ more: { id_token: server.idToken({ sub: 'user-2' }) } });
    const supplied = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    await one.sessions.destroy(session);
    await signIn(one, 600);
    await expect(supplied).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(server.revoked).toEqual([]);
  });

  test('a session that had ended before makes no grant', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    await one.sessions.destroy(session);
    await expect(one.tokenOf(session)).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(server.grants).toHaveLength(0);
  });

  test('a session that changed during the refresh keeps both changes', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    server.delay = 20;
    const supplied = one.tokenOf(session);
    await until(() => server.grants.length === 1);
    await one.sessions.save(session, { ...session.content, requestedScope: 'changed' });
    const value = await supplied;
    expect((await one.sessions.reload(session))?.content).toMatchObject({
      requestedScope: 'changed',
      accessToken: { value },
    });
  });

  test('a store that is away when the answer comes is asked again', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    const update = store.update.bind(store);
    let failures = 2;
    store.update = (...args) => {
      if (failures === 0) return update(...args);
      failures -= 1;
      return Promise.reject(new Error('away'));
    };
    const value = await one.tokenOf(session);
    expect((await one.sessions.reload(session))?.content.accessToken?.value).toBe(value);
    expect(server.grants).toHaveLength(1);
  });
});

describe('the authorization server says no', () => {
  test('invalid_grant removes the tokens from the session and asks for a sign-in, once', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    await one.tokenOf(session, { audience: OTHER_API });
    refusing('invalid_grant');
    server.grants.length = 0;
    for (let i = 0; i < 3; i += 1) {
      await expect(one.tokenOf(session)).rejects.toMatchObject({
        code: 'ERR_LOGIN_REQUIRED',
        status: 401,
      });
    }
    expect(server.grants).toHaveLength(1);
    const content = (await one.sessions.reload(session))?.content;
    expect(content).toMatchObject({ claims: { sub: 'user-1' } });
    expect(JSON.stringify(content)).not.toMatch(/access-|refresh-/);
  });

  test('invalid_request, as some call a dead refresh token, is no reason to sign in for another API', async () => {
    const one = startProcess();
    refusing('invalid_request');
    const session = await signIn(one, -1);
    await expect(one.tokenOf(session, { audience: OTHER_API })).rejects.toMatchObject({
      code: 'ERR_TOKEN_REQUEST_REFUSED',
    });
    await expect(one.tokenOf(session)).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
  });

  test.each([
    'interaction_required',
    'login_required',
    'consent_required',
    'mfa_required',
    'invalid_token',
  ])('%s asks for a sign-in; a token that lasts serves on', async (error) => {
    const one = startProcess();
    refusing(error);
    const session = await signIn(one, -1);
    await expect(one.tokenOf(session)).rejects.toMatchObject({
      code: 'ERR_LOGIN_REQUIRED',
      cause: { error },
    });
    expect(await refreshTokenOf(one, session)).toBe(session.content.refreshToken);
    expect(await one.tokenOf(await signIn(one, 10))).toBe('old');
  });

  test.each(['interaction_required', 'invalid_request'])(
    '%s: no request follows at once, each pause is longer, and another API has its own',
    async (error) => {
      const one = startProcess();
      const session = await signIn(one, -1);
      for (const seconds of [1, 2, 4]) {
        refusing(error);
        server.grants.length = 0;
        for (let i = 0; i < 3; i += 1) {
          await expect(one.tokenOf(session)).rejects.toMatchObject({
            code: 'ERR_LOGIN_REQUIRED',
            cause: { error },
          });
        }
        expect(server.grants).toHaveLength(1);
        server.onGrant = () => undefined;
        expect(await one.tokenOf(session, { audience: OTHER_API })).toMatch(/^access-/);
        now += seconds * 1000;
      }
      expect(await one.tokenOf(session)).toMatch(/^access-/);
    },
  );

  test('interaction_required of another API does not pause the sign-in’s token', async () => {
    const one = startProcess();
    refusing('interaction_required');
    const session = await signIn(one, -1);
    for (let i = 0; i < 3; i += 1) {
      await expect(one.tokenOf(session, { audience: OTHER_API })).rejects.toMatchObject({
        code: 'ERR_LOGIN_REQUIRED',
      });
    }
    expect(server.grants).toHaveLength(1);
    server.onGrant = () => undefined;
    expect(await one.tokenOf(session)).toMatch(/^access-/);
  });

  test('login_required asks for a sign-in also when the old token ends during the pause', async () => {
    const one = startProcess();
    refusing('login_required');
    const session = await signIn(one, 2);
    for (let second = 0; second < 2; second += 1) {
      expect(await one.tokenOf(session)).toBe('old');
      now += 1000;
    }
    await expect(one.tokenOf(session)).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(server.grants).toHaveLength(2);
  });

  test('consent_required for scopes of the sign-in asks for a sign-in: they were granted before', async () => {
    const one = startProcess();
    refusing('consent_required');
    const session = await signIn(one, 3600);
    await expect(one.tokenOf(session, { scope: 'read' })).rejects.toMatchObject({
      code: 'ERR_LOGIN_REQUIRED',
      cause: { error: 'consent_required' },
    });
  });

  test.each(['invalid_client', 'unauthorized_client', 'unsupported_grant_type', 'access_denied'])(
    '%s leaves the session as it is, is a 502 and reported',
    async (error) => {
      const one = startProcess();
      refusing(error);
      const session = await signIn(one, -1);
      await expect(one.tokenOf(session)).rejects.toMatchObject({
        code: 'ERR_TOKEN_REQUEST_REFUSED',
        status: 502,
        detail: expect.stringMatching(`^${error}`),
      });
      expect(await refreshTokenOf(one, session)).toBe(session.content.refreshToken);
      expect(events).toEqual([
        {
          type: 'token_refresh_failed',
          durationMs: expect.any(Number),
          transient: false,
          code: 'ERR_TOKEN_REQUEST_REFUSED',
          detail: expect.stringMatching(`^${error}`),
        },
      ]);
    },
  );

  test.each<[string, Answer]>([
    ['500', { status: 500 }],
    ['429', { status: 429 }],
    ['no answer', 'lost'],
  ])(
    '%s: the old token serves while it lasts, and no request follows at once',
    async (_n, answer) => {
      const one = startProcess();
      server.rotates = false;
      answering(answer);
      const session = await signIn(one, 10);
      for (let i = 0; i < 3; i += 1) expect(await one.tokenOf(session)).toBe('old');
      expect(server.grants).toHaveLength(1);
      expect(events).toMatchObject([
        {
          type: 'token_refresh_failed',
          transient: true,
          code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
        },
      ]);
      now += 10_001;
      server.onGrant = () => undefined;
      expect(await one.tokenOf(session)).toMatch(/^access-/);
    },
  );

  test.each<[string, Answer]>([
    ['refuses this client', { status: 401, body: { error: 'invalid_client' } }],
    ['sends no token', { more: { access_token: undefined } }],
  ])(
    'a server that %s: reported, and the old token serves while it lasts',
    async (_name, answer) => {
      const one = startProcess();
      server.rotates = false;
      answering(answer);
      const session = await signIn(one, 10);
      for (let i = 0; i < 3; i += 1) expect(await one.tokenOf(session)).toBe('old');
      expect(server.grants).toHaveLength(1);
      expect(events).toMatchObject([{ type: 'token_refresh_failed', transient: false }]);
      now += 10_001;
      await expect(one.tokenOf(session)).rejects.toMatchObject({ status: 502 });
      server.onGrant = () => undefined;
      expect(await one.tokenOf(session)).toMatch(/^access-/);
    },
  );

  test('a 503 once the old token is over; each pause is longer, and a success ends it', async () => {
    const one = startProcess();
    const session = await signIn(one, -1);
    answering({ status: 502 });
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      for (let i = 0; i < 2; i += 1) {
        await expect(one.tokenOf(session)).rejects.toMatchObject({
          status: 503,
          headers: { 'Retry-After': String(seconds) },
        });
      }
      now += seconds * 1000;
    }
    expect(server.grants).toHaveLength(8);
    server.onGrant = () => undefined;
    expect(await one.tokenOf(session)).toMatch(/^access-/);
  });

  test('a failure before another process renewed makes no later pause longer', async () => {
    const [one, other] = [startProcess(), startProcess()];
    const session = await signIn(one, -1);
    answering({ status: 502 });
    for (const seconds of [1, 2, 4]) {
      await expect(one.tokenOf(session)).rejects.toMatchObject({
        headers: { 'Retry-After': String(seconds) },
      });
      now += seconds * 1000;
    }
    server.onGrant = () => undefined;
    now += 1000;
    expect(await other.tokenOf(session)).toMatch(/^access-/);
    now += 3_600_000;
    answering({ status: 502 });
    for (const seconds of [1, 2]) {
      await expect(one.tokenOf(session)).rejects.toMatchObject({
        headers: { 'Retry-After': String(seconds) },
      });
      now += seconds * 1000;
    }
  });

  test('no refresh token is spent while the keys that verify the answer cannot be fetched', async () => {
    const one = startProcess();
    server.onGrant = () => ({ more: { id_token: server.idToken({}) } });
    server.hasKeys = false;
    const session = await signIn(one, 3);
    for (let i = 0; i < 5; i += 1) {
      const token = one.tokenOf(session);
      if (i < 2) expect(await token).toBe('old');
      else await expect(token).rejects.toMatchObject({ headers: { 'Retry-After': '2' } });
      now += 2000;
    }
    expect(server.grants).toHaveLength(0);
    server.hasKeys = true;
    // The issuer is not asked again for 250 ms after it failed once.
    await sleep(300);
    expect(await one.tokenOf(session)).toMatch(/^access-/);
  });

  test.each([
    ['seconds', 429, () => ({ 'retry-after': '17' }), '17'],
    ['seconds, with a 503', 503, () => ({ 'retry-after': '17' }), '17'],
    ['a date', 503, () => ({ 'retry-after': new Date(now + 20_000).toUTCString() }), '20'],
    ['a day: half a minute', 429, () => ({ 'retry-after': '86400' }), '30'],
    ["Auth0's reset", 429, () => ({ 'x-ratelimit-reset': `${Math.floor(now / 1000) + 25}` }), '25'],
  ])('no session sends a grant before Retry-After: %s', async (_name, status, headers, after) => {
    const one = startProcess();
    now = Math.ceil(now / 1000) * 1000;
    const sessions = [await signIn(one, -1), await signIn(one, -1)];
    answering({ status, headers: headers() });
    for (const session of sessions) {
      await expect(one.tokenOf(session)).rejects.toMatchObject({
        code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
        headers: { 'Retry-After': after },
      });
    }
    now += Number(after) * 1000 - 1;
    for (const session of sessions) await expect(one.tokenOf(session)).rejects.toThrow();
    expect(server.grants).toHaveLength(1);
    now += 1;
    server.onGrant = () => undefined;
    for (const session of sessions) expect(await one.tokenOf(session)).toMatch(/^access-/);
  });

  test('fewer scopes are not served by the sign-in’s token while the server is away', async () => {
    const one = startProcess();
    const session = await signIn(one, 3600);
    answering({ status: 503 });
    await expect(one.tokenOf(session, { scope: 'read' })).rejects.toMatchObject({ status: 503 });
    expect(await one.tokenOf(session)).toBe('old');
  });

  test('an answer lost after rotation: with a leeway the next try gets on', async () => {
    const one = startProcess();
    server.leeway = true;
    answering('lost');
    const session = await signIn(one, -1);
    await expect(one.tokenOf(session)).rejects.toMatchObject({ status: 503 });
    server.onGrant = () => undefined;
    now += 1000;
    expect(await one.tokenOf(session)).toMatch(/^access-/);
  });

  test('an answer lost after rotation: without a leeway a sign-in is needed, and no loop', async () => {
    const one = startProcess();
    answering('lost');
    const session = await signIn(one, -1);
    await expect(one.tokenOf(session)).rejects.toMatchObject({ status: 503 });
    server.onGrant = () => undefined;
    now += 1000;
    for (let i = 0; i < 3; i += 1) {
      await expect(one.tokenOf(session)).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    }
    expect(server.grants).toHaveLength(2);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('tokens that are bound to a key (RFC 9449)', () => {
  test('two processes that must send a nonce use the refresh token once', async () => {
    const key = createSessionKey();
    const answers: unknown[] = [];
    server.onGrant = () => {
      answers.push(server.grants.length);
      return answers.length === 1
        ? { status: 400, headers: { 'dpop-nonce': 'n' }, body: { error: 'use_dpop_nonce' } }
        : { more: { token_type: 'DPoP' } };
    };
    const processes = [startProcess(), startProcess()] as const;
    const session = await signIn(processes[0], -1, { dpopKey: key });
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (processes[i % 2] as Process).tokenOf(session)),
    );
    expect(new Set(tokens).size).toBe(1);
    expect(server.grants.map((form) => form.get('refresh_token'))).toEqual([
      session.content.refreshToken,
      session.content.refreshToken,
    ]);
    expect((await processes[1].sessions.reload(session))?.content.dpopKey).toEqual(key);
  });
});
