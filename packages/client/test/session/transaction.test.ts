import { hkdfSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import type { CookieJar } from '../../src/browser/cookies.ts';
import { MAX_PATH_LENGTH } from '../../src/browser/redirect.ts';
import type { Transaction } from '../../src/oauth/authorization-endpoint.ts';
import { Seal } from '../../src/session/seal.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { Transactions } from '../../src/session/transaction.ts';
import { checkedOptions } from '../support/options.ts';

describe('transactions', () => {
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
      params: {},
      isRetry: false,
      startedAt: NOW / 1000,
      ...change,
    };
  }

  const planted = (count: number, prefix = 'login.session.') =>
    Array.from({ length: count }, (_, index) => prefix + String(index).padStart(16, '0'));

  describe.each([
    ['http', false, 'login.session.'],
    ['https', true, '__Host-login.session.'],
  ])('logins in flight, on %s', (_name, secure, prefix) => {
    const transactions = new Transactions(
      checkedOptions({
        baseURL: secure ? 'https://app.example' : 'http://localhost:3000',
        now: () => NOW,
      }),
      memoryStore({ now: () => NOW }),
    );

    test('other names are none', async () => {
      const others = [
        'x',
        '',
        'x'.repeat(15),
        'x'.repeat(17),
        `${'x'.repeat(15)}.`,
        'é'.repeat(16),
      ];
      const names = ['login', 'session', ...others.map((rest) => prefix + rest)];
      const { cookies, cleared, set } = browserWith(...names, ...planted(9, `other-${prefix}`));
      await transactions.begin(cookies, transaction('a'));
      transactions.clear(cookies);
      expect(cleared).toEqual(set);
    });

    test('those of an app with another session name are left alone', () => {
      const elsewhere = planted(9, prefix.replace('session', 'sessionXlogin'));
      const { cookies, cleared } = browserWith(...elsewhere, ...planted(1, prefix));
      transactions.clear(cookies);
      expect(cleared).toHaveLength(1);
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
        ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((state) =>
          transactions.find(browser.cookies, state),
        ),
      );
      const header = [...browser.kept].map(([name, value]) => `${name}=${value}`).join('; ');
      return { bytes: header.length, states: found.flatMap((one) => one?.state ?? []).join('') };
    }

    test.each([
      ['short ones: the newest five', { returnTo: '/' }, 'cdefg'],
      ['long ones: as many of the newest as fit', { scope: 'x'.repeat(1000) }, 'defg'],
      ['very long ones: the newest two', { scope: 'x'.repeat(1900) }, 'fg'],
    ])('%s', async (_name, change, kept) => {
      const { bytes, states } = await begin(change);
      expect(states).toBe(kept);
      expect(bytes).toBeLessThanOrEqual(8192);
    });

    test('one that no browser would store is refused', async () => {
      const change = { scope: 'x'.repeat(5000) };
      await expect(begin(change)).rejects.toThrow('ERR_LOGIN_PARAMETERS');
    });
  });

  describe('one transaction', () => {
    const transactions = new Transactions(
      checkedOptions({ now: () => NOW }),
      memoryStore({ now: () => NOW }),
    );

    test('with the longest path fits into a cookie (RFC 6265 §6.1)', async () => {
      const browser = browserWith();
      const change = { returnTo: `/${'x'.repeat(MAX_PATH_LENGTH - 1)}`, scope: 'x'.repeat(300) };
      await transactions.begin(browser.cookies, transaction('a', change));
      const [[name, value] = ['', '']] = [...browser.kept];
      expect(name.length + value.length).toBeLessThanOrEqual(4096);
    });

    test('comes back as it was kept', async () => {
      const { cookies } = browserWith();
      const kept = transaction('a', { maxAge: 0, essentialAcr: ['mfa'], returnTo: '/x?y#z' });
      await transactions.begin(cookies, kept);
      expect(await transactions.find(cookies, 'a')).toEqual(kept);
    });

    test('with any one character of its cookie changed it counts as none', async () => {
      proves('ASVS 10.1.2', 'FAPI 2.0 §5.3.3.2-4');
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
        checkedOptions({ secret: 't-secret-of-the-tests-0123456789', now: () => NOW }),
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
      expect(cleared).toEqual([set[0], set[0]]);
    });
  });

  // Only the higher bits of the last character of a part count.
  function other(character: string): string {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return alphabet[alphabet.indexOf(character) ^ 32] ?? '!';
  }
});

describe('seals', () => {
  const [OLD, NEW] = ['o-secret-of-the-tests-0123456789', 'n-secret-of-the-tests-0123456789'];

  describe('seal (RFC 7516, dir and A256GCM)', () => {
    test('opens what it sealed', async () => {
      const seal = new Seal([NEW], 'test');
      const sealed = await seal.seal({ a: ['ü', 0, false] }, 'salt');
      expect(await seal.open(sealed, 'salt')).toEqual({ a: ['ü', 0, false] });
      expect(decodeProtectedHeader(sealed)).toEqual({
        alg: 'dir',
        enc: 'A256GCM',
        kid: expect.stringMatching(/^[\w-]{8}$/),
      });
    });

    test("is what another implementation of JWE, jose's, reads and writes", async () => {
      const key = new Uint8Array(hkdfSync('sha256', NEW, 'salt', 'koa-oauth test', 32));
      const seal = new Seal([NEW], 'test');
      for (let length = 0; length < 50; length += 1) {
        const value = 'ü'.repeat(length);
        const sealed = await seal.seal(value, 'salt');
        const { plaintext, protectedHeader } = await compactDecrypt(sealed, key);
        expect(JSON.parse(new TextDecoder().decode(plaintext))).toBe(value);
        const theirs = new CompactEncrypt(plaintext).setProtectedHeader(protectedHeader);
        expect(await seal.open(await theirs.encrypt(key), 'salt')).toBe(value);
      }
    });

    test('a shortened or lengthened part opens nothing', async () => {
      const seal = new Seal([NEW], 'test');
      const parts = (await seal.seal('value', 'salt')).split('.');
      for (const index of parts.keys()) {
        const part = parts[index] ?? '';
        for (const other of [part.slice(0, -4), part.slice(0, 6), '', `${part}AAAA`]) {
          if (other === part) continue;
          expect(await seal.open(parts.with(index, other).join('.'), 'salt')).toBeUndefined();
        }
      }
      expect(await seal.open([...parts, ''].join('.'), 'salt')).toBeUndefined();
    });

    test('seals with the newest secret and opens with any', async () => {
      const sealedByOld = await new Seal([OLD], 'test').seal(1, 's');
      const both = new Seal([NEW, OLD], 'test');
      expect(await both.open(sealedByOld, 's')).toBe(1);
      expect(await new Seal([OLD], 'test').open(await both.seal(1, 's'), 's')).toBeUndefined();
    });

    test('another salt, purpose or secret opens nothing', async () => {
      const seal = new Seal([NEW], 'test');
      const sealed = await seal.seal(1, 'salt');
      expect(await seal.open(sealed, 'other')).toBeUndefined();
      expect(await new Seal([NEW], 'other').open(sealed, 'salt')).toBeUndefined();
      expect(await new Seal([OLD], 'test').open(sealed, 'salt')).toBeUndefined();
    });

    test('any changed character opens nothing', async () => {
      const seal = new Seal([NEW], 'test');
      const sealed = await seal.seal('value', 'salt');
      for (let i = 0; i < sealed.length; i += 1) {
        const changed = sealed.slice(0, i) + (sealed[i] === 'A' ? 'B' : 'A') + sealed.slice(i + 1);
        const opened = await seal.open(changed, 'salt');
        // The last character of a base64url part has bits that decoding drops.
        if (opened !== undefined) expect(opened).toBe('value');
        else expect(opened).toBeUndefined();
      }
    });

    test.each(['', 'x', '....', 'a.b.c.d.e', '{}', `${'A'.repeat(5000)}`])(
      '%s opens nothing',
      async (text) => {
        expect(await new Seal([NEW], 'test').open(text, 'salt')).toBeUndefined();
      },
    );
  });
});
