import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../../test/support/proves.ts';
import type { UserSession } from '../../src/index.ts';
import type { SessionStore } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { sqliteStore } from '../../src/session/stores/sqlite.ts';
import type { Browser } from '../support/browser.ts';
import { type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { BASE_URL, type ServedApp, serveApp, userOf } from '../support/served-app.ts';

const folder = mkdtempSync(join(tmpdir(), 'own-sessions-'));

let issuer: IssuerStandIn;
let store: SessionStore;
let app: ServedApp | undefined;
let ended: unknown[];
let now: number;

const stores: [string, () => SessionStore][] = [
  ['memory', () => memoryStore({ now: () => now })],
  ['file', () => sqliteStore({ path: join(folder, `${now}.db`), now: () => now })],
];

afterAll(() => {
  nock.restore();
  rmSync(folder, { recursive: true });
});

describe.each(stores)('a user’s sessions in the %s store', (_name, make) => {
  beforeEach(async () => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer();
    now = Date.now();
    store = make();
    ended = [];
    app = await serveApp(issuer, {
      options: {
        session: { store },
        now: () => now,
        onEvent: (event) => {
          if (event.type === 'session_ended') ended.push(event);
        },
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
  });

  afterEach(async () => {
    await app?.close();
    await store.close();
    nock.cleanAll();
  });

  const signIn = (claims: Record<string, unknown> = {}) => (app as ServedApp).signIn(claims);
  const answerOf = async (response: Promise<Response>) => (await (await response).json()) as never;
  const sessionsOf = (browser: Browser): Promise<UserSession[]> =>
    answerOf(browser.get('/sessions'));
  const end = (browser: Browser, id = '') => answerOf(browser.post(`/end?id=${id}`));
  const idOf = async (browser: Browser) =>
    (await sessionsOf(browser)).find((one) => one.current)?.id;

  test('lists them, newest first, and marks the one that asks', async () => {
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

  test('one browser ends another, whose next request has no user', async () => {
    proves('ASVS 7.5.2');
    const [here, there] = [await signIn(), await signIn()];
    expect(await end(here, await idOf(there))).toEqual({ ended: true, signedIn: true });
    expect(await userOf(there)).toBeNull();
    expect(await userOf(here)).toBe('user-1');
    expect(await sessionsOf(here)).toHaveLength(1);
    expect(ended).toEqual([{ type: 'session_ended', reason: 'by_user', sessions: 1 }]);
  });

  test('an id of another user’s session ends nothing, nor does one that is not an id', async () => {
    const here = await signIn();
    const others = await signIn({ sub: 'user-2' });
    const [cookie] = await others.jar.getCookies(BASE_URL);
    const ids = [await idOf(others), cookie?.value, 'x', '', '__proto__'];
    for (const id of ids) expect(await end(here, id)).toEqual({ ended: false, signedIn: true });
    expect(await userOf(others)).toBe('user-2');
    expect(await userOf(here)).toBe('user-1');
    expect(ended).toEqual([]);
  });

  test('ends all others, each once', async () => {
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

  test('its own end is a logout here: no cookie, and the refresh token revoked', async () => {
    const here = await signIn();
    const there = await signIn();
    expect(await end(here, await idOf(here))).toEqual({ ended: true, signedIn: false });
    expect(await here.cookieNames()).toEqual([]);
    expect(issuer.revocations.map((form) => form.get('token'))).toEqual(['refresh-1']);
    expect(await userOf(there)).toBe('user-1');
    expect(ended).toHaveLength(1);
  });

  test.each(['/sessions', '/end?id=x', '/end-others'])(
    '%s: without a session it is a 401',
    async (path) => {
      const response = await (app as ServedApp).browser().post(path);
      expect(response.status).toBe(401);
      expect(await response.json()).toEqual({ code: 'ERR_LOGIN_REQUIRED' });
    },
  );
});
