import { afterAll, afterEach, beforeEach, describe, expect } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthOptions, UserSession } from '../../src/index.ts';
import type { Browser } from '../support/browser.ts';
import { STORES, type StorePair } from '../support/every-store.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { BASE_URL, type ServedApp, serveApp, userOf } from '../support/served-app.ts';

let issuer: IssuerStandIn;
let pair: StorePair;
let app: ServedApp | undefined;
let ended: unknown[];
let now: number;

afterAll(() => nock.restore());

describe.each(STORES)('a user’s sessions in the store: $name', ({ testIt, open }) => {
  beforeEach(async () => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer();
    now = Date.now();
    pair = open(() => now);
    ended = [];
    app = await serveClient();
  });

  afterEach(async () => {
    await app?.close();
    await pair.close();
    nock.cleanAll();
  });

  const serveClient = (options: Partial<AuthOptions> = {}) =>
    serveApp(issuer, {
      options: {
        session: { store: pair.store },
        now: () => now,
        onEvent: (event) => {
          if (event.type === 'session_ended') ended.push(event);
        },
        ...options,
      },
      async page(ctx) {
        const { id } = ctx.query as { id: string };
        if (ctx.path === '/sessions') ctx.body = await ctx.oidc.sessions();
        if (ctx.path === '/end') {
          const wasEnded = await ctx.oidc.endSession(id);
          ctx.body = { ended: wasEnded, signedIn: ctx.oidc.isAuthenticated() };
        }
        if (ctx.path === '/end-others') ctx.body = { ended: await ctx.oidc.endOtherSessions() };
      },
    });
  const beginSignIn = () => (app as ServedApp).beginSignIn();
  const signIn = (claims: Record<string, unknown> = {}) => (app as ServedApp).signIn(claims);
  const answerOf = async (response: Promise<Response>) => (await (await response).json()) as never;
  const sessionsOf = (browser: Browser): Promise<UserSession[]> =>
    answerOf(browser.get('/sessions'));
  const end = (browser: Browser, id = '') => answerOf(browser.post(`/end?id=${id}`));
  const idOf = async (browser: Browser) =>
    (await sessionsOf(browser)).find((one) => one.current)?.id;

  testIt('lists them, newest first, and marks the one that asks', async () => {
    proves('ASVS 7.1.2');
    const first = await signIn();
    now += 60_000;
    const second = await signIn();
    await signIn({ sub: 'user-2' });
    const list = await sessionsOf(first);
    expect(list.map(({ current }) => current)).toEqual([false, true]);
    expect(list[0]).toMatchObject({ createdAt: Math.floor(now / 1000) });
    expect((await sessionsOf(second)).map(({ current }) => current)).toEqual([true, false]);
    const [cookie] = await first.jar.getCookies(BASE_URL);
    expect(JSON.stringify(list)).not.toContain(cookie?.value);
    expect(JSON.stringify(list)).not.toMatch(/access-1|refresh-/);
  });

  testIt('one browser ends another, whose next request has no user', async () => {
    proves('ASVS 7.5.2');
    const [here, there] = [await signIn(), await signIn()];
    const answer = await here.post(`/end?id=${await idOf(there)}`);
    expect(await answer.json()).toEqual({ ended: true, signedIn: true });
    expect(answer.headers.get('clear-site-data')).toBeNull();
    expect(await userOf(there)).toBeNull();
    expect(await userOf(here)).toBe('user-1');
    expect(await sessionsOf(here)).toHaveLength(1);
    expect(ended).toEqual([{ type: 'session_ended', reason: 'by_user', sessions: 1 }]);
  });

  testIt(
    'an id of another user’s session ends nothing, nor does one that is not an id',
    async () => {
      const here = await signIn();
      const others = await signIn({ sub: 'user-2' });
      const [cookie] = await others.jar.getCookies(BASE_URL);
      const ids = [await idOf(others), cookie?.value, 'x', '', '__proto__'];
      for (const id of ids) expect(await end(here, id)).toEqual({ ended: false, signedIn: true });
      expect(await userOf(others)).toBe('user-2');
      expect(await userOf(here)).toBe('user-1');
      expect(ended).toEqual([]);
    },
  );

  testIt('ends all others, each once', async () => {
    proves('ASVS 7.4.3');
    const here = await signIn();
    const others = [await signIn(), await signIn(), await signIn()];
    const stranger = await signIn({ sub: 'user-2' });
    expect(await answerOf(here.post('/end-others'))).toEqual({ ended: 3 });
    for (const browser of others) expect(await userOf(browser)).toBeNull();
    expect(await userOf(here)).toBe('user-1');
    expect(await userOf(stranger)).toBe('user-2');
    expect(await answerOf(here.post('/end-others'))).toEqual({ ended: 0 });
    expect(ended).toEqual([{ type: 'session_ended', reason: 'by_user', sessions: 3 }]);
  });

  testIt.each<[string, string | undefined, (here: Browser, there: Browser) => Promise<unknown>]>([
    ['its browser signed out', 'sid-1', (_here, there) => there.post('/logout')],
    ['its browser signed out, and has no sid', undefined, (_here, there) => there.post('/logout')],
    ['the session ended elsewhere', 'sid-1', async (here, there) => end(here, await idOf(there))],
    [
      'the session ended elsewhere, and has no sid',
      undefined,
      async (here, there) => end(here, await idOf(there)),
    ],
    ['all others ended', 'sid-1', (here) => here.post('/end-others')],
  ])('a sign-in that began before opens nothing after: %s', async (_name, sid, leave) => {
    const here = await signIn({ sid: 'sid-here' });
    const there = await signIn({ sid });
    const [finish, finishOther] = [await beginSignIn(), await beginSignIn()];
    now += 1;
    await leave(here, there);
    await expect(finish({ sid })).rejects.toThrow('ERR_CODE_REFUSED');
    expect(await userOf(await finishOther({ sub: 'user-2', sid: 'sid-2' }))).toBe('user-2');
    expect(await userOf(await signIn({ sid }))).toBe('user-1');
    expect(await userOf(here)).toBe('user-1');
  });

  testIt('it opens nothing either if the secret was replaced since the session began', async () => {
    const there = await signIn({ sid: 'sid-1' });
    const secret = ['new-secret-of-the-tests-9876543210', 's-secret-of-the-tests-0123456789'];
    const restarted = await serveClient({ secret });
    const here = await restarted.signIn({ sid: 'sid-here' });
    const finish = await restarted.beginSignIn();
    const id = await idOf(there);
    now += 1;
    expect(await end(restarted.browser(here.jar), id)).toMatchObject({ ended: true });
    await expect(finish({ sid: 'sid-1' })).rejects.toThrow('ERR_CODE_REFUSED');
    await restarted.close();
  });

  testIt('a sign-out with a sid leaves a sign-in of the same user elsewhere alone', async () => {
    const there = await signIn({ sid: 'sid-1' });
    const finish = await beginSignIn();
    now += 1;
    await there.post('/logout');
    expect(await userOf(await finish({ sid: 'sid-2' }))).toBe('user-1');
  });

  testIt('another client with the same store and secret sees and ends none of them', async () => {
    const other = await serveClient({ clientID: 'client-2', session: { store: pair.other } });
    const here = await signIn();
    const elsewhere = await other.signIn({ aud: 'client-2' });
    expect(await sessionsOf(here)).toHaveLength(1);
    expect(await sessionsOf(elsewhere)).toHaveLength(1);
    expect(await end(here, await idOf(elsewhere))).toMatchObject({ ended: false });
    expect(await answerOf(here.post('/end-others'))).toEqual({ ended: 0 });
    const finish = await other.beginSignIn();
    now += 1;
    await here.post('/logout');
    expect(await userOf(elsewhere)).toBe('user-1');
    expect(await userOf(await finish({ aud: 'client-2' }))).toBe('user-1');
    // A sign-in of one cannot be finished at the other.
    const begun = other.browser();
    const login = await begun.get('/login');
    const state = new URL(login.headers.get('location') ?? '').searchParams.get('state') ?? '';
    const callback = `/callback?${new URLSearchParams({ code: 'c', state, iss: ISSUER })}`;
    const answer = await (app as ServedApp).browser(begun.jar).get(callback);
    expect(await answer.json()).toMatchObject({ code: 'ERR_UNEXPECTED_CALLBACK' });
    await other.close();
  });

  testIt('its own end is a logout here: no cookie, and the refresh token revoked', async () => {
    const here = await signIn();
    const there = await signIn();
    const answer = await here.post(`/end?id=${await idOf(here)}`);
    expect(await answer.json()).toEqual({ ended: true, signedIn: false });
    expect(await here.cookieNames()).toEqual([]);
    expect(issuer.revocations.map((form) => form.get('token'))).toEqual(['refresh-1']);
    expect(await userOf(there)).toBe('user-1');
    expect(ended).toHaveLength(1);
  });

  testIt.each(['/sessions', '/end?id=x', '/end-others'])(
    '%s: without a session it is a 401',
    async (path) => {
      const response = await (app as ServedApp).browser().post(path);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    },
  );
});
