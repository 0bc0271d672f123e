import { describe, expect, test } from '@jest/globals';
import { proves } from '../../../../test/support/proves.ts';
import type { CookieJar } from '../../src/browser/cookies.ts';
import type { Transaction } from '../../src/oauth/authorization-endpoint.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { Transactions } from '../../src/session/transaction.ts';
import { checkedOptions } from '../support/options.ts';

const NOW = 1_700_000_000_000;

/** A browser's cookies: what is set is there for the next request. */
function browserWith(...names: string[]) {
  const kept = new Map(names.map((name) => [name, 'x']));
  const [set, cleared]: [string[], string[]] = [[], []];
  const cookies: CookieJar = {
    get: (name) => kept.get(name),
    set(name, value) {
      set.push(name);
      kept.set(name, value);
    },
    clear(name) {
      cleared.push(name);
      kept.delete(name);
    },
    names: (pattern) => [...kept.keys()].filter((name) => pattern.test(name)),
  };
  return { cookies, kept, set, cleared };
}

function transaction(state: string, change: Partial<Transaction> = {}): Transaction {
  return {
    state,
    nonce: 'n'.repeat(43),
    codeVerifier: 'v'.repeat(43),
    returnTo: '/',
    issuer: 'https://issuer.example/',
    redirectURI: 'https://app.example/callback',
    scope: 'openid profile email',
    audience: undefined,
    maxAge: undefined,
    startedAt: NOW / 1000,
    ...change,
  };
}

const planted = (count: number, prefix = 'login.') =>
  Array.from({ length: count }, (_, index) => prefix + String(index).padStart(16, '0'));

describe.each([
  ['http', false, 'login.'],
  ['https', true, '__Host-login.'],
])('logins in flight, on %s', (_name, secure, prefix) => {
  const transactions = new Transactions(
    checkedOptions({
      baseURL: secure ? 'https://app.example' : 'http://localhost:3000',
      now: () => NOW,
    }),
    memoryStore({ now: () => NOW }),
  );

  test('other names are none', async () => {
    const others = ['x', '', 'x'.repeat(15), 'x'.repeat(17), `${'x'.repeat(15)}.`, 'é'.repeat(16)];
    const names = ['login', 'session', ...others.map((rest) => prefix + rest)];
    const { cookies, cleared, set } = browserWith(...names, ...planted(9, `other-${prefix}`));
    await transactions.begin(cookies, transaction('a'));
    transactions.clear(cookies);
    expect(cleared).toEqual(set);
  });

  test('of however many a request carries, 20 are looked at and cleared', async () => {
    const starting = browserWith(...planted(987, prefix));
    await transactions.begin(starting.cookies, transaction('a'));
    expect(starting.cleared).toHaveLength(16);
    const leaving = browserWith(...planted(987, prefix));
    transactions.clear(leaving.cookies);
    expect(leaving.cleared).toHaveLength(20);
  });
});

describe('logins in flight take little of the 16 kB that a request header may have', () => {
  let now = NOW;
  const transactions = new Transactions(
    checkedOptions({ now: () => now }),
    memoryStore({ now: () => now }),
  );

  async function begin(change: Partial<Transaction>) {
    const browser = browserWith();
    for (const state of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) {
      now += 1000;
      await transactions.begin(browser.cookies, transaction(state, change));
    }
    const found = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((state) => transactions.find(browser.cookies, state)),
    );
    const header = [...browser.kept].map(([name, value]) => `${name}=${value}`).join('; ');
    return { bytes: header.length, states: found.flatMap((one) => one?.state ?? []).join('') };
  }

  test.each([
    ['short ones: the newest five', { returnTo: '/' }, 'cdefg'],
    ['long ones: as many of the newest as fit', { scope: 'x'.repeat(1000) }, 'efg'],
    ['enormous ones: the newest alone', { scope: 'x'.repeat(5000) }, 'g'],
  ])('%s', async (_name, change, kept) => {
    const { bytes, states } = await begin(change);
    expect(states).toBe(kept);
    if (kept.length > 1) expect(bytes).toBeLessThanOrEqual(6144);
  });
});

describe('one transaction', () => {
  const transactions = new Transactions(
    checkedOptions({ now: () => NOW }),
    memoryStore({ now: () => NOW }),
  );

  test('comes back as it was kept', async () => {
    const { cookies } = browserWith();
    const kept = transaction('a', { maxAge: 0, essentialAcr: ['mfa'], returnTo: '/x?y#z' });
    await transactions.begin(cookies, kept);
    expect(await transactions.find(cookies, 'a')).toEqual(kept);
  });

  test('with any one character of its cookie changed it counts as none', async () => {
    proves('ASVS 10.1.2');
    const { cookies, kept } = browserWith();
    await transactions.begin(cookies, transaction('a', { returnTo: '/private' }));
    const [[name = '', value = ''] = []] = [...kept];
    const start = value.indexOf('~') + 1;
    const survived: number[] = [];
    for (let index = start; index < value.length; index += 1) {
      kept.set(name, value.slice(0, index) + other(value[index] ?? '') + value.slice(index + 1));
      if (await transactions.find(cookies, 'a')) survived.push(index);
    }
    expect(survived).toEqual([]);
    kept.set(name, value);
    expect(await transactions.find(cookies, 'a')).toMatchObject({ returnTo: '/private' });
  });

  test('a cookie sealed under another secret counts as none', async () => {
    const { cookies } = browserWith();
    const foreign = new Transactions(
      checkedOptions({ secret: 't'.repeat(32), now: () => NOW }),
      memoryStore(),
    );
    await foreign.begin(cookies, transaction('a'));
    expect(await transactions.find(cookies, 'a')).toBeUndefined();
  });

  test('it ends once, and its cookie goes each time', async () => {
    const { cookies, cleared, set } = browserWith();
    await transactions.begin(cookies, transaction('b'));
    expect(await transactions.end(cookies, transaction('b'))).toBe(true);
    expect(await transactions.end(cookies, transaction('b'))).toBe(false);
    expect(cleared).toEqual([...set, ...set]);
  });
});

// Only the higher bits of the last character of a part count.
function other(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[alphabet.indexOf(character) ^ 32] ?? '!';
}
