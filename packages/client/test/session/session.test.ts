import { beforeEach, describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import type { CookieJar } from '../../src/browser/cookies.ts';
import { type SessionContent, Sessions } from '../../src/session/session.ts';
import { listedId, SessionList } from '../../src/session/session-list.ts';
import { type SessionStore, storeKey } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { checkedOptions } from '../support/options.ts';
import { storeWith } from '../support/store-with.ts';

const [OLD, NEW] = ['o-secret-of-the-tests-0123456789', 'n-secret-of-the-tests-0123456789'];
const START = 1_700_000_000;
const DAY = 86_400;
const ISSUER = 'https://issuer.example/';

let now: number;
let store: SessionStore;
let warnings: Error[];

beforeEach(() => {
  now = START;
  store = memoryStore({ now: () => now * 1000, monotonicNow: () => now * 1000 });
  warnings = [];
});

function sessionsOf(
  secrets: readonly string[] = [NEW],
  durations: { rollingDuration?: number; absoluteDuration?: number } = {},
  kept: SessionStore = store,
): Sessions {
  const options = checkedOptions({
    secret: secrets,
    session: { rollingDuration: DAY, absoluteDuration: 7 * DAY, ...durations },
    now: () => now * 1000,
  });
  return new Sessions(options, kept, (error) => warnings.push(error as Error));
}

/** The cookies of one browser. */
function browser(): CookieJar {
  const cookies = new Map<string, string>();
  return {
    get: (name) => cookies.get(name),
    set: (name, value) => cookies.set(name, value),
    clear: (name) => cookies.delete(name),
    names: (pattern) => [...cookies.keys()].filter((name) => pattern.test(name)),
  };
}

function content(claims: Record<string, unknown> = {}, token = 'access-1'): SessionContent {
  return {
    claims: { iss: ISSUER, sub: 'user-1', sid: 'sid-1', aud: 'c', exp: 0, iat: 0, ...claims },
    idToken: 'id-token',
    loginId: 'login-1',
    requestedScope: 'openid',
    accessToken: {
      value: token,
      expiresAt: undefined,
      scope: 'openid',
      requestedScope: 'openid',
      issuedAt: START,
    },
    refreshToken: 'refresh-1',
  };
}

describe('how long a session lasts', () => {
  const HOUR = 3600;
  const cases: [
    name: string,
    durations: { rollingDuration?: number; absoluteDuration?: number },
    sessionExpiry: unknown,
    lasts: number,
  ][] = [
    ['rolling', { rollingDuration: 100 }, undefined, 100],
    ['absolute', { absoluteDuration: 200 }, undefined, 200],
    ['both', { rollingDuration: 300, absoluteDuration: 200 }, undefined, 200],
    ['the issuer’s session_expiry, when sooner', {}, START + HOUR, HOUR],
    ['the issuer’s session_expiry, when later', {}, START + 30 * DAY, DAY],
    ['session_expiry in milliseconds counts as none', {}, (START + HOUR) * 1000, DAY],
    ['session_expiry that is no number counts as none', {}, Number.NaN, DAY],
    ['session_expiry as text counts as none', {}, `${START + HOUR}`, DAY],
    ['session_expiry below zero counts as none', {}, -1, DAY],
    ['session_expiry of zero counts as none', {}, 0, DAY],
    ['session_expiry with a fraction counts as none', {}, START + 0.5, DAY],
  ];

  test.each(cases)('%s', async (_name, durations, session_expiry, lasts) => {
    proves('ASVS 7.3.1', 'ASVS 7.3.2', 'ASVS 7.6.1');
    const sessions = sessionsOf([NEW], durations);
    const cookies = browser();
    const session = await sessions.open(cookies, content({ session_expiry }));
    expect(session.expiresAt).toBe(START + lasts);
    now = START + lasts - 1;
    expect(await sessions.reload(session)).toMatchObject({ id: session.id });
    now += 1;
    expect(await sessions.reload(session)).toBeUndefined();
    expect(await sessions.load(cookies)).toBeUndefined();
  });

  test('requests keep it alive up to the issuer’s end, and not beyond', async () => {
    proves('ASVS 7.6.1');
    const sessions = sessionsOf();
    const cookies = browser();
    await sessions.open(cookies, content({ session_expiry: START + 2 * DAY }));
    for (now = START; now < START + 2 * DAY; now += DAY / 2) {
      expect(await sessions.load(cookies)).toBeDefined();
    }
    expect(await sessions.load(cookies)).toBeUndefined();
  });

  test.each([10, 60, 90])('requests keep one of %i seconds alive', async (rollingDuration) => {
    const sessions = sessionsOf([NEW], { rollingDuration });
    const cookies = browser();
    await sessions.open(cookies, content());
    for (let requests = 0; requests < 10; requests += 1) {
      now += Math.floor(rollingDuration * 0.8);
      expect(await sessions.load(cookies)).toBeDefined();
    }
    now += rollingDuration;
    expect(await sessions.load(cookies)).toBeUndefined();
  });

  test('a sign-in whose session_expiry has passed begins no session', async () => {
    const cookies = browser();
    const open = sessionsOf().open(cookies, content({ session_expiry: START }));
    await expect(open).rejects.toMatchObject({ code: 'ERR_ID_TOKEN', status: 502 });
    expect(cookies.names(/./)).toEqual([]);
  });

  test('shorter durations hold for sessions that have begun, too', async () => {
    const cookies = browser();
    await sessionsOf().open(cookies, content());
    now += 1000;
    expect(await sessionsOf([NEW], { absoluteDuration: 900 }).load(cookies)).toBeUndefined();
  });
});

describe('a store that fails', () => {
  const away = async () => {
    throw new Error('away');
  };

  test.each([
    ['null', null],
    ['a record of another kind', { sealed: 7, version: 'x', expiresAt: START + 100 }],
    ['a record that was not sealed', { sealed: 'a.b.c.d.e', version: 1, expiresAt: START + 100 }],
  ])('a store that answers %s: no user is signed in', async (_name, answer) => {
    const cookies = browser();
    await sessionsOf().open(cookies, content());
    const failing = sessionsOf([NEW], {}, storeWith(store, { read: async () => answer }));
    expect(await failing.load(cookies)).toBeUndefined();
  });

  test('a lagging replica without the record yet has no user, and then the user', async () => {
    const cookies = browser();
    let isThere = false;
    const lagging = storeWith(store, {
      read: async (key: string) => (isThere ? store.read(key) : undefined),
    });
    const sessions = sessionsOf([NEW], {}, lagging);
    await sessions.open(cookies, content());
    expect(await sessions.load(cookies)).toBeUndefined();
    isThere = true;
    expect(await sessions.load(cookies)).toBeDefined();
  });

  test.each([
    'read',
    'create',
    'update',
    'destroy',
    'list',
    'acquire',
    'extend',
    'release',
  ] as const)('a store that cannot %s is a 503', async (method) => {
    const cookies = browser();
    const session = await sessionsOf().open(cookies, content());
    const failing = sessionsOf([NEW], {}, storeWith(store, { [method]: away }));
    const call = {
      read: () => failing.load(cookies),
      create: () => failing.open(browser(), content()),
      update: () => failing.save(session, content()),
      destroy: () => failing.destroy(session),
      list: () => failing.list.listFor(session),
      acquire: () => failing.acquireLease(session, 1000),
      extend: () => failing.extendLease(session, 1, 1000),
      release: () => failing.releaseLease(session, 1),
    }[method];
    await expect(call()).rejects.toMatchObject({ code: 'ERR_SESSION_STORE', status: 503 });
  });

  test('a store that cannot create leaves no cookie', async () => {
    const cookies = browser();
    const failing = sessionsOf([NEW], {}, storeWith(store, { create: away }));
    await failing.open(cookies, content()).catch(() => {});
    expect(cookies.names(/./)).toEqual([]);
  });

  test('a store that can be read but not written still serves, and is reported', async () => {
    const cookies = browser();
    await sessionsOf().open(cookies, content());
    now += 3600;
    const failing = sessionsOf([NEW], {}, storeWith(store, { touch: away }));
    expect(await failing.load(cookies)).toBeDefined();
    expect(warnings).toMatchObject([{ code: 'ERR_SESSION_STORE' }]);
  });
});

describe('a new secret', () => {
  test('a new secret opens what the old one sealed, seals again with its first write, and finds all', async () => {
    const cookies = browser();
    await sessionsOf([OLD]).open(cookies, content(), 'Old browser');
    const both = sessionsOf([NEW, OLD]);
    const loaded = await both.load(cookies);
    if (!loaded) throw new Error('the old secret no longer opens');
    const second = await both.open(browser(), content(), 'New browser');
    expect((await both.list.listFor(second)).map(({ userAgent }) => userAgent).sort()).toEqual([
      'New browser',
      'Old browser',
    ]);
    await both.save(loaded, content({}, 'access-2'));
    // Without the old one, what was written since opens all the same.
    const reloaded = await sessionsOf([NEW]).load(cookies);
    expect(reloaded?.content.accessToken?.value).toBe('access-2');
    expect(await both.list.endAll(['sub', ISSUER, 'user-1'])).toBe(2);
  });

  test('a retired secret opens nothing: no user is signed in', async () => {
    proves('ASVS 7.4.5');
    const cookies = browser();
    await sessionsOf([OLD]).open(cookies, content());
    expect(await sessionsOf([NEW]).load(cookies)).toBeUndefined();
  });
});

describe('writes at the same time', () => {
  test('writes to different sessions both survive', async () => {
    const sessions = sessionsOf();
    const [one, two] = [browser(), browser()];
    const [first, second] = [
      await sessions.open(one, content()),
      await sessions.open(two, content()),
    ];
    await Promise.all([
      sessions.save(first, content({}, 'of one')),
      sessions.save(second, content({}, 'of two')),
    ]);
    expect((await sessions.load(one))?.content.accessToken?.value).toBe('of one');
    expect((await sessions.load(two))?.content.accessToken?.value).toBe('of two');
  });

  test('of two writes to one session the later is rejected, sees the other’s and adds its own', async () => {
    const sessions = sessionsOf();
    const cookies = browser();
    const session = await sessions.open(cookies, content());
    const results = await Promise.all([
      sessions.save(session, { ...session.content, refreshToken: 'refresh-2' }),
      sessions.save(session, { ...session.content, requestedScope: 'openid read' }),
    ]);
    expect(results.map((saved) => saved !== undefined).sort()).toEqual([false, true]);
    const current = await sessions.reload(session);
    if (!current) throw new Error('the session is gone');
    await sessions.save(
      current,
      results[0]
        ? { ...current.content, requestedScope: 'openid read' }
        : { ...current.content, refreshToken: 'refresh-2' },
    );
    const { refreshToken, requestedScope } = (await sessions.load(cookies))?.content ?? {};
    expect({ refreshToken, requestedScope }).toEqual({
      refreshToken: 'refresh-2',
      requestedScope: 'openid read',
    });
  });

  test('nothing is saved under a lease that was given to another since', async () => {
    const sessions = sessionsOf();
    const session = await sessions.open(browser(), content());
    const first = await sessions.acquireLease(session, 1000);
    expect(await sessions.acquireLease(session, 1000)).toBeUndefined();
    now += 2;
    const second = await sessions.acquireLease(session, 1000);
    expect(await sessions.save(session, content({}, 'late'), first)).toBeUndefined();
    expect(await sessions.save(session, content({}, 'right'), second)).toBeDefined();
    await sessions.releaseLease(session, second as number);
    expect(await sessions.acquireLease(session, 1000)).toBeGreaterThan(second as number);
  });
});

describe('logout', () => {
  test('a request that saves after logout brings nothing back', async () => {
    proves('ASVS 7.4.1');
    const sessions = sessionsOf();
    const cookies = browser();
    const slow = await sessions.open(cookies, content());
    const fence = (await sessions.acquireLease(slow, 10_000)) as number;
    expect(await sessions.destroy(slow)).toMatchObject({ id: slow.id });
    now += 3600;
    expect(await sessions.save(slow, content({}, 'access-2'))).toBeUndefined();
    expect(await sessions.save(slow, content({}, 'access-2'), fence)).toBeUndefined();
    expect(await sessions.extendLease(slow, fence, 10_000)).toBe(false);
    await sessions.releaseLease(slow, fence);
    expect(await sessions.reload(slow)).toBeUndefined();
    expect(await sessions.load(cookies)).toBeUndefined();
    expect(await store.read(storeKey(slow.id))).toBeUndefined();
    expect(await sessions.destroy(slow)).toBeUndefined();
  });

  test('a request that was under way when it began brings nothing back with its end', async () => {
    const cookies = browser();
    const session = await sessionsOf().open(cookies, content());
    now += 3600;
    // The session ends after it was read, and before its expiry is moved.
    const racing = storeWith(store, {
      touch: async (key: string, expiresAt: number) => {
        await store.destroy(key);
        await store.touch(key, expiresAt);
      },
    });
    await sessionsOf([NEW], {}, racing).load(cookies);
    expect(await store.read(storeKey(session.id))).toBeUndefined();
    expect(await sessionsOf().load(cookies)).toBeUndefined();
  });
});

describe('visits without a session', () => {
  test.each([undefined, '', 'short', 'x'.repeat(43), 'x'.repeat(5000), '../'.repeat(14)])(
    'visits with the cookie %j write nothing',
    async (cookie) => {
      const calls: string[] = [];
      const watched = new Proxy(store, {
        get(target, name: keyof SessionStore) {
          calls.push(name);
          return target[name].bind(target);
        },
      });
      const cookies = browser();
      if (cookie !== undefined) cookies.set('__Host-session', cookie, 1);
      expect(await sessionsOf([NEW], {}, watched).load(cookies)).toBeUndefined();
      expect(calls.filter((name) => name !== 'read')).toEqual([]);
      expect(calls).toHaveLength(cookie?.length === 43 ? 1 : 0);
    },
  );
});

describe('the sessions of a user', () => {
  test('are listed, newest first, with what the user may know and nothing more', async () => {
    const sessions = sessionsOf();
    const desk = browser();
    await sessions.open(desk, content(), 'Desk/1.0');
    now += 100;
    const phone = await sessions.open(browser(), content({ sid: 'sid-2' }), 'Phone/2.0');
    await sessions.open(browser(), content({ sub: 'user-2' }), 'Stranger');
    await sessions.open(browser(), content({ iss: 'https://other.example/' }), 'Elsewhere');
    now += 1000;
    await sessions.load(desk);
    expect(await sessions.list.listFor(phone)).toEqual([
      {
        id: storeKey(phone.id).slice(0, 16),
        createdAt: START + 100,
        lastSeenAt: START + 100,
        expiresAt: START + 100 + DAY,
        userAgent: 'Phone/2.0',
        current: true,
      },
      {
        id: expect.stringMatching(/^[\w-]{16}$/),
        createdAt: START,
        lastSeenAt: START + 1100,
        expiresAt: START + 1100 + DAY,
        userAgent: 'Desk/1.0',
        current: false,
      },
    ]);
  });

  test('the id of one opens nothing', async () => {
    const sessions = sessionsOf();
    const session = await sessions.open(browser(), content());
    const [listed] = await sessions.list.listFor(session);
    const cookies = browser();
    for (const guess of [listed?.id ?? '', storeKey(session.id)]) {
      cookies.set('__Host-session', guess, 1);
      expect(await sessions.load(cookies)).toBeUndefined();
    }
  });

  test.each([
    ['\u001b[31mred\u0007 \u202egnp.exe\u0000', '[31mred gnp.exe'],
    ['x'.repeat(5000), 'x'.repeat(200)],
    ['😀'.repeat(300), '😀'.repeat(200)],
    ['', undefined],
    ['\u0000', undefined],
  ])('a browser that names itself %j is bounded, and steers nothing', async (given, kept) => {
    const sessions = sessionsOf();
    const session = await sessions.open(browser(), content(), given);
    expect((await sessions.list.listFor(session))[0]?.userAgent).toBe(kept);
  });

  test('one ends by its id, if it is the same user’s', async () => {
    const sessions = sessionsOf();
    const [mine, other, strange] = [browser(), browser(), browser()];
    const session = await sessions.open(mine, content());
    const ended = await sessions.open(other, content());
    const stranger = await sessions.open(strange, content({ sub: 'user-2' }));
    const idOf = async (of: typeof session) =>
      (await sessions.list.listFor(of)).find(({ current }) => current)?.id ?? '';
    expect(await sessions.list.endOne(session, await idOf(stranger))).toBe(0);
    for (const id of ['', '*', storeKey(ended.id)]) {
      expect(await sessions.list.endOne(session, id)).toBe(0);
    }
    expect(await sessions.list.endOne(session, await idOf(ended))).toBe(1);
    expect(await sessions.load(other)).toBeUndefined();
    expect(await sessions.load(mine)).toBeDefined();
    expect(await sessions.load(strange)).toBeDefined();
  });

  test('all others end, and of no other user', async () => {
    const sessions = sessionsOf();
    const mine = browser();
    const others = [browser(), browser(), browser()];
    const session = await sessions.open(mine, content());
    for (const each of others) await sessions.open(each, content({ sid: 'x' }));
    const strange = browser();
    await sessions.open(strange, content({ sub: 'user-2' }));
    expect(await sessions.list.endOthers(session)).toBe(3);
    for (const each of others) expect(await sessions.load(each)).toBeUndefined();
    for (const each of [mine, strange]) expect(await sessions.load(each)).toBeDefined();
    expect(await sessions.list.endOthers(session)).toBe(0);
  });

  test('sessions end by the issuer’s sid, and by the user, at that issuer only', async () => {
    const sessions = sessionsOf();
    const [a, b, c] = [browser(), browser(), browser()];
    await sessions.open(a, content({ sid: 'sid-1' }));
    await sessions.open(b, content({ sid: 'sid-2' }));
    await sessions.open(c, content({ iss: 'https://other.example/' }));
    expect(await sessions.list.endAll(['sid', ISSUER, 'sid-1'])).toBe(1);
    expect(await sessions.load(a)).toBeUndefined();
    expect(await sessions.load(b)).toBeDefined();
    // A sub is not found as a sid, nor a sid as a sub.
    expect(await sessions.list.endAll(['sid', ISSUER, 'user-1'])).toBe(0);
    expect(await sessions.list.endAll(['sub', ISSUER, 'sid-2'])).toBe(0);
    expect(await sessions.list.endAll(['sub', ISSUER, 'user-1'])).toBe(1);
    expect(await sessions.load(b)).toBeUndefined();
    expect(await sessions.load(c)).toBeDefined();
  });

  test('the one that asks is listed even if the store does not find it, and ends by its id', async () => {
    const sessions = sessionsOf([NEW], {}, storeWith(store, { list: async () => [] }));
    const session = await sessions.open(browser(), content(), 'Desk/1.0');
    expect(await sessions.list.listFor(session)).toEqual([
      {
        id: listedId(session),
        createdAt: START,
        lastSeenAt: START,
        expiresAt: START + DAY,
        userAgent: undefined,
        current: true,
      },
    ]);
  });

  test('a hundred are kept, and all of them are listed', async () => {
    const sessions = sessionsOf();
    const first = await sessions.open(browser(), content());
    const strange = await sessions.open(browser(), content({ sub: 'user-2' }));
    now += 1;
    const second = await sessions.open(browser(), content());
    for (let i = 0; i < 99; i += 1) await sessions.open(browser(), content({ sid: `sid-${i}` }));
    expect(await sessions.list.listFor(second)).toHaveLength(100);
    expect(await sessions.reload(first)).toBeUndefined();
    expect(await sessions.reload(strange)).toBeDefined();
    expect(await sessions.list.endOthers(second)).toBe(99);
  });

  test('the store is shown no name: neither of the user, the issuer, the sid nor the browser', async () => {
    const shown: unknown[] = [];
    const watched = storeWith(store, {
      create: async (...args: Parameters<SessionStore['create']>) => {
        shown.push(args);
        return store.create(...args);
      },
    });
    const claims = { sub: 'user-lovelace', sid: 'sid-lovelace', name: 'Lovelace' };
    await sessionsOf([NEW], {}, watched).open(browser(), content(claims), 'Lovelace/1.0');
    const text = JSON.stringify(shown);
    expect(text).not.toMatch(/lovelace/i);
    expect(text).not.toContain('issuer.example');
    for (const name of ['user-lovelace', 'sid-lovelace']) {
      expect(text).not.toContain(Buffer.from(name).toString('base64url').slice(0, 8));
    }
    const [[, { terms }]] = shown as [[string, { terms: string[] }]];
    expect(terms).toHaveLength(2);
    for (const term of terms) expect(term).toMatch(/^[\w-]{43}$/);
    for (const other of [{ secret: OLD }, { secret: NEW, clientID: 'client-2' }]) {
      const unlike = new SessionList(checkedOptions(other), store).entryOf(
        'key',
        { iss: ISSUER, sub: 'user-ada', sid: 'sid-ada' },
        { createdAt: START, userAgent: '' },
      ).terms;
      expect(new Set([...terms, ...unlike]).size).toBe(4);
    }
  });
});
