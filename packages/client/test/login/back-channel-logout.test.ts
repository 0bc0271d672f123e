import { request } from 'node:http';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';
import nock from 'nock';
import { proves } from '../../../../test/support/proves.ts';
import type { AuthOptions, OidcErrorCode } from '../../src/index.ts';
import { type SessionStore, storeKey } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import type { Browser } from '../support/browser.ts';
import { STORES, type StorePair } from '../support/every-store.ts';
import {
  ISSUER,
  type IssuerStandIn,
  signJws,
  standInForIssuer,
} from '../support/issuer-stand-in.ts';
import { BASE_URL, type ServedApp, serveApp, userOf } from '../support/served-app.ts';
import { storeWith } from '../support/store-with.ts';

const PATH = '/backchannel-logout';

let issuer: IssuerStandIn;
let store: SessionStore;
let app: ServedApp | undefined;
let events: { type: string }[];
let now: number;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
  now = Date.now();
  store = memoryStore({ now: () => now });
  events = [];
});

afterEach(async () => {
  await app?.close();
  app = undefined;
  nock.cleanAll();
});

afterAll(() => nock.restore());

const serveWith = (store: SessionStore, options: Partial<AuthOptions> = {}, before?: Middleware) =>
  serveApp(issuer, {
    options: {
      session: { store },
      routes: { backChannelLogout: PATH },
      onEvent: (event) => events.push(event),
      now: () => now,
      ...options,
    },
    ...(before && { before }),
  });

async function start(options: Partial<AuthOptions> = {}, before?: Middleware): Promise<ServedApp> {
  app = await serveWith(store, options, before);
  return app;
}

let issued = 0;

function logoutToken(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): string {
  const iat = Math.floor(now / 1000);
  issued += 1;
  return signJws(
    { alg: 'RS256', kid: 'key-1', typ: 'logout+jwt', ...header },
    {
      iss: ISSUER,
      aud: 'client-1',
      iat,
      exp: iat + 120,
      jti: `jti-${issued}`,
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      ...claims,
    },
  );
}

/** Sends a request like the issuer's server: no cookie, and no header of a browser. */
function send(
  form: string | URLSearchParams,
  headers: Record<string, string> = {},
  method = 'POST',
  origin = app?.origin ?? '',
) {
  return new Promise<{ status: number; headers: Record<string, unknown>; text: string }>(
    (resolve, reject) => {
      const { port } = new URL(origin);
      const type = { 'content-type': 'application/x-www-form-urlencoded' };
      const sent = request(
        { host: '127.0.0.1', port, path: PATH, method, headers: { ...type, ...headers } },
        async (response) => {
          let text = '';
          for await (const chunk of response) text += chunk;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
        },
      );
      sent.on('error', reject);
      sent.end(String(form));
    },
  );
}

const tell = (token: string, headers?: Record<string, string>, origin?: string) =>
  send(new URLSearchParams({ logout_token: token }), headers, 'POST', origin);

const sessionOf = async (browser: Browser) => {
  const cookies = await browser.jar.getCookies(BASE_URL);
  return store.read(storeKey(cookies[0]?.value ?? ''));
};

const warningCodes = () =>
  events.flatMap((event) => (event.type === 'warning' ? [(event as { code?: string }).code] : []));

describe.each(STORES)('sessions in the store: $name', ({ testIt, open }) => {
  let pair: StorePair;
  /** Another process of the app. */
  let elsewhere: ServedApp;

  beforeEach(async () => {
    pair = open(() => now);
    store = pair.store;
    elsewhere = await serveWith(pair.other);
  });

  afterEach(async () => {
    await elsewhere.close();
    await pair.close();
  });

  testIt.each([{ sid: 'sid-1' }, { sub: 'user-1' }])(
    'a sign-in that began before the logout of %j, at any process, opens nothing after it',
    async (named) => {
      const { beginSignIn } = await start();
      const [finish, finishLater] = [await beginSignIn(), await beginSignIn()];
      now += 1;
      expect((await tell(logoutToken(named), {}, elsewhere.origin)).status).toBe(200);
      await expect(finish({ sid: 'sid-1' })).rejects.toThrow('ERR_CODE_REFUSED');
      expect(issuer.revocations).toHaveLength(1);
      now += 1;
      const finishNew = await beginSignIn();
      expect((await tell(logoutToken({ sid: 'sid-2' }))).status).toBe(200);
      expect(await userOf(await finishNew({ sid: 'sid-1' }))).toBe('user-1');
      now += 500_000;
      const iat = Math.floor(now / 1000);
      const late = finishLater({ sid: 'sid-1', iat, exp: iat + 300 });
      await expect(late).rejects.toThrow('ERR_CODE_REFUSED');
    },
  );

  testIt('the logout of another leaves a sign-in alone', async () => {
    const { beginSignIn } = await start();
    const finish = await beginSignIn();
    now += 1;
    for (const named of [{ sid: 'sid-2' }, { sub: 'user-2' }]) {
      expect((await tell(logoutToken(named), {}, elsewhere.origin)).status).toBe(200);
    }
    expect(await userOf(await finish({ sid: 'sid-1' }))).toBe('user-1');
  });

  testIt('a sid ends the session that it names, and no other', async () => {
    const { signIn } = await start();
    const ada = await signIn({ sid: 'sid-1' });
    const adaElsewhere = await signIn({ sid: 'sid-2' });
    const answer = await tell(logoutToken({ sid: 'sid-1', sub: 'user-1' }));
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['set-cookie']).toBeUndefined();
    // The refresh token ends with it: it cannot be read without the browser's cookie.
    expect(await sessionOf(ada)).toBeUndefined();
    expect(await userOf(ada)).toBeNull();
    expect(await userOf(adaElsewhere)).toBe('user-1');
    expect(events).toContainEqual({ type: 'session_ended', reason: 'backchannel', sessions: 1 });
  });

  testIt('a sub alone ends all sessions of that user, and of no other', async () => {
    proves('ASVS 7.4.2');
    const { signIn } = await start();
    const browsers = [
      await signIn({ sid: 'a' }),
      await signIn({ sid: 'b' }),
      await signIn({ sid: undefined }),
    ];
    const other = await signIn({ sub: 'user-2', sid: 'c' });
    expect((await tell(logoutToken({ sub: 'user-1' }))).status).toBe(200);
    for (const browser of browsers) expect(await userOf(browser)).toBeNull();
    expect(await userOf(other)).toBe('user-2');
    expect(events).toContainEqual({ type: 'session_ended', reason: 'backchannel', sessions: 3 });
  });

  testIt.each([[{ sid: 'unknown-sid' }], [{ sub: 'unknown' }]])(
    'a session that is over already (%j) is answered with success',
    async (claims) => {
      const { signIn } = await start();
      const browser = await signIn();
      expect((await tell(logoutToken(claims))).status).toBe(200);
      expect(await userOf(browser)).toBe('user-1');
    },
  );

  testIt('a session that the user ended does not disturb a later logout', async () => {
    const { signIn } = await start();
    const browser = await signIn({ sid: 'sid-1' });
    await browser.post('/logout');
    expect((await tell(logoutToken({ sid: 'sid-1' }))).status).toBe(200);
  });

  testIt(
    'a sign-in after it stays, under the same sid too, and the same token ends it not',
    async () => {
      const { signIn } = await start();
      const browser = await signIn({ sid: 'sid-1' });
      const token = logoutToken({ sid: 'sid-1' });
      expect((await tell(token)).status).toBe(200);
      await signIn({ sid: 'sid-1' }, browser);
      expect(await userOf(browser)).toBe('user-1');
      const replayed = await tell(token);
      expect(replayed.status).toBe(400);
      expect(replayed.text).toContain("'jti' was used before");
      expect(await userOf(browser)).toBe('user-1');
    },
  );

  testIt('the end of an old session leaves the newer one to be found', async () => {
    const { signIn } = await start();
    const old = await signIn({ sid: 'old' });
    const newer = await signIn({ sid: 'newer' });
    await tell(logoutToken({ sid: 'old' }));
    expect(await userOf(old)).toBeNull();
    expect(await userOf(newer)).toBe('user-1');
    await tell(logoutToken({ sub: 'user-1' }));
    expect(await userOf(newer)).toBeNull();
  });

  testIt('a token that comes ten times at once, at two processes, is used once', async () => {
    proves('ASVS 10.5.5');
    const { signIn, origin } = await start();
    const browser = await signIn({ sid: 'sid-1' });
    const token = logoutToken({ sid: 'sid-1' });
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => tell(token, {}, i % 2 ? elsewhere.origin : origin)),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 400)]);
    expect(await userOf(browser)).toBeNull();
    await signIn({ sid: 'sid-1' }, browser);
    expect((await tell(token)).status).toBe(400);
    expect(await userOf(browser)).toBe('user-1');
  });

  testIt('a token whose use failed may come again, at another process', async () => {
    const sound = store;
    store = storeWith(store, { destroyAll: () => Promise.reject(new Error('the disk is full')) });
    const { signIn } = await start();
    const browser = await signIn({ sid: 'sid-1' });
    const token = logoutToken({ sid: 'sid-1' });
    expect((await tell(token)).status).toBe(503);
    expect(await userOf(browser)).toBe('user-1');
    expect((await tell(token, {}, elsewhere.origin)).status).toBe(200);
    expect(await userOf(browser)).toBeNull();
    expect((await tell(token)).status).toBe(400);
    store = sound;
  });
});

describe('what is refused', () => {
  const idToken = () => issuer.idToken({ nonce: 'n' });
  const refused: [string, () => ReturnType<typeof send>, string][] = [
    ['an ID token', () => tell(idToken()), "'jti'"],
    ['garbage', () => tell('garbage'), 'not a signed JWT'],
    [
      'too old',
      () => tell(logoutToken({ sub: 'user-1', iat: Math.floor(now / 1000) - 181 })),
      "'iat'",
    ],
    ['for another', () => tell(logoutToken({ sub: 'user-1', aud: 'client-2' })), "'aud'"],
    ['an unknown key', () => tell(logoutToken({ sub: 'user-1' }, { kid: 'key-2' })), 'no key'],
    ['no token', () => send('a=b'), "'logout_token'"],
    ['an empty token', () => send('logout_token='), "'logout_token'"],
    ['nothing', () => send(''), "'logout_token'"],
    [
      'two tokens',
      () => send(`logout_token=${logoutToken({ sub: 'user-1' })}&logout_token=b`),
      "'logout_token'",
    ],
    [
      'JSON',
      () =>
        send(JSON.stringify({ logout_token: logoutToken({ sub: 'user-1' }) }), {
          'content-type': 'application/json',
        }),
      "'logout_token'",
    ],
    [
      'far too much',
      () => send(`logout_token=${logoutToken({ sub: 'user-1' })}&a=${'x'.repeat(70_000)}`),
      "'logout_token'",
    ],
    ['from a page', () => tell(logoutToken({ sub: 'user-1' }), { origin: BASE_URL }), 'browser'],
    [
      'by a browser',
      () => tell(logoutToken({ sub: 'user-1' }), { 'sec-fetch-site': 'none' }),
      'browser',
    ],
  ];
  test.each(refused)('%s: 400', async (_name, work, description) => {
    const { signIn } = await start();
    const browser = await signIn();
    const answer = await work();
    expect(answer.status).toBe(400);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['content-type']).toContain('application/json');
    const body = JSON.parse(answer.text);
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
    expect(body.error_description).toContain(description);
    expect(body.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(warningCodes()).toEqual(['ERR_LOGOUT_TOKEN'] satisfies OidcErrorCode[]);
    expect(await userOf(browser)).toBe('user-1');
  });

  test.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('%s: 405', async (method) => {
    const { signIn } = await start();
    const browser = await signIn();
    const answer = await send('', {}, method);
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe('POST');
    expect(await userOf(browser)).toBe('user-1');
  });

  test('where it was not asked for, there is none', async () => {
    const { signIn } = await start({ routes: {} });
    const browser = await signIn();
    expect((await tell(logoutToken({ sub: 'user-1' }))).status).toBe(404);
    expect(await userOf(browser)).toBe('user-1');
  });

  test('no user is sent back to it after a sign-in', async () => {
    const { browser: open } = await start();
    const browser = open();
    const login = await browser.get(`/login?returnTo=${PATH}`);
    const asked = new URL(login.headers.get('location') ?? '').searchParams;
    const token = {
      access_token: 'a',
      token_type: 'Bearer',
      id_token: issuer.idToken({ nonce: asked.get('nonce') }),
    };
    issuer.onTokenRequest = () => [200, token];
    const state = asked.get('state') ?? '';
    const back = await browser.get(
      `/callback?${new URLSearchParams({ code: 'c', state, iss: ISSUER })}`,
    );
    expect(back.headers.get('location')).toBe('/');
  });
});

describe('a body parser before it', () => {
  test.each([
    ['that read the form', ['form']],
    ['that left the form unread', ['json']],
  ])('%s', async (_name, enableTypes) => {
    const { signIn } = await start({}, bodyParser({ enableTypes: enableTypes as 'form'[] }));
    const browser = await signIn();
    expect((await tell(logoutToken({ sub: 'user-1' }))).status).toBe(200);
    expect(await userOf(browser)).toBeNull();
  });

  test('that read two tokens', async () => {
    await start({}, bodyParser({ enableTypes: ['form'] }));
    const token = logoutToken({ sub: 'user-1' });
    expect((await send(`logout_token=${token}&logout_token=${token}`)).status).toBe(400);
  });
});

describe('while something is down', () => {
  const failing: (keyof SessionStore)[] = ['create', 'recordEnd', 'destroyAll'];
  test.each(failing)('the store’s %s: 503, and the same token may come again', async (method) => {
    let isUp = false;
    const sound = store;
    store = storeWith(sound, {
      [method]: async (...parameters: never[]) => {
        if (!isUp) throw new Error('the disk is full');
        return (sound[method] as (...parameters: never[]) => unknown).apply(sound, parameters);
      },
    });
    // Its sign-in has to be over before the store fails.
    isUp = true;
    const { signIn } = await start();
    const browser = await signIn();
    isUp = false;
    const token = logoutToken({ sub: 'user-1' });
    const answer = await tell(token);
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toMatch(/^\d+$/);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(JSON.parse(answer.text).error).toBe('temporarily_unavailable');
    expect(answer.text).not.toContain('disk');
    expect(warningCodes()).toEqual(['ERR_SESSION_STORE']);
    expect(await userOf(browser)).toBe('user-1');

    isUp = true;
    expect((await tell(token)).status).toBe(200);
    expect(await userOf(browser)).toBeNull();
    expect((await tell(token)).status).toBe(400);
  });

  test('the whole store, while a token is used: 503, and the same token may come again', async () => {
    const sound = store;
    let isUp = true;
    store = new Proxy(sound, {
      get:
        (_store, name: keyof SessionStore) =>
        async (...parameters: never[]) => {
          if (name === 'destroyAll') isUp = false;
          if (!isUp) throw new Error('no connection');
          return (sound[name] as (...parameters: never[]) => unknown).apply(sound, parameters);
        },
    });
    const { signIn } = await start();
    const browser = await signIn();
    const token = logoutToken({ sub: 'user-1' });
    expect((await tell(token)).status).toBe(503);
    store = sound;
    await app?.close();
    await start();
    // It is not known yet how its use ended.
    expect((await tell(token)).status).toBe(503);
    now += 10_000;
    expect((await tell(token)).status).toBe(200);
    expect(
      await store.read(storeKey((await browser.jar.getCookies(BASE_URL))[0]?.value ?? '')),
    ).toBeUndefined();
    expect((await tell(token)).status).toBe(400);
  });

  test('the issuer’s keys: 503, and the same token may come again', async () => {
    await start();
    nock.cleanAll();
    const token = logoutToken({ sub: 'user-1' });
    expect((await tell(token)).status).toBe(503);
    expect(warningCodes()).toContain('ERR_ISSUER_UNAVAILABLE');
    // The issuer is not asked again at once, but by a process that starts.
    await app?.close();
    issuer = standInForIssuer();
    await start();
    expect((await tell(token)).status).toBe(200);
  });
});

test.each([
  ['a path with a query', '/logout?a=b'],
  ['the path of another route', '/callback'],
  ['true', true],
])('an option that can’t work stops the start: %s', async (_name, path) => {
  const routes = { backChannelLogout: path as string };
  await expect(start({ routes })).rejects.toThrow('routes.backChannelLogout');
});
