import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import type { AuthOptions } from '../src/options/options.ts';
import { storeKey } from '../src/session/session-store.ts';
import { memoryStore } from '../src/session/stores/memory.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from './support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from './support/web-app.ts';

let issuer: IssuerStandIn;
let app: WebApp;

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer();
});
afterEach(async () => {
  await app.served.close();
  nock.cleanAll();
});

/** @returns the `Set-Cookie` line of the session, and its value */
async function signIn(): Promise<[string, string]> {
  const { request, callback } = await app.begin();
  app.grant({ nonce: request.get('nonce') });
  const lines = (await app.browser.get(callback())).headers.getSetCookie();
  const line = lines.find((one) => /session=[^;]/.test(one)) ?? '';
  return [line, /session=([^;]*)/.exec(line)?.[1] ?? ''];
}

describe('the cookie of a session', () => {
  test('on https it is for this host alone, not for scripts, not sent by other sites', async () => {
    app = await startWebApp(issuer);
    const [line] = await signIn();
    const [, ...attributes] = line.toLowerCase().split('; ');
    expect(line).toMatch(/^__Host-session=/);
    expect(attributes).toEqual(
      expect.arrayContaining(['path=/', 'samesite=lax', 'secure', 'httponly']),
    );
    expect(attributes.some((attribute) => attribute.startsWith('domain'))).toBe(false);
  });

  test('on http, as in development, it can be neither Secure nor __Host-', async () => {
    app = await startWebApp(issuer, { baseURL: 'http://localhost:3000' });
    const [line] = await signIn();
    expect(line).toMatch(/^session=/);
    expect(line).toMatch(/samesite=lax; httponly/i);
    expect(line).not.toMatch(/secure/i);
  });

  test('it lasts by its age, not by the clock of the browser (RFC 6265 §5.3)', async () => {
    app = await startWebApp(issuer, { session: { absoluteDuration: 3600 } });
    const [line] = await signIn();
    expect(line).toMatch(/; max-age=3600(;|$)/i);
    const [login = ''] = (await app.browser.get('/login')).headers.getSetCookie();
    expect(login).toMatch(/^__Host-login\..*; max-age=600(;|$)/i);
    const cleared = (await app.browser.post('/logout')).headers.getSetCookie();
    expect(cleared.join('\n')).not.toMatch(/max-age/i);
  });

  test('it is 256 random bits and nothing else, others each time', async () => {
    proves('RFC 6750 §5.3 cookies', 'ASVS 7.2.2');
    app = await startWebApp(issuer);
    const values = [(await signIn())[1], (await signIn())[1], (await signIn())[1]];
    for (const value of values) expect(value).toMatch(/^[\w-]{43}$/);
    expect(new Set(values).size).toBe(3);
  });

  test('a session that the store does not have signs no user in, whatever the cookie says', async () => {
    proves('ASVS 7.2.1');
    const store = memoryStore();
    app = await startWebApp(issuer, { session: { store } });
    const [, value] = await signIn();
    const userWith = async (cookie: string) => {
      const stranger = app.served.browser();
      const response = await stranger.get('/', { cookie: `__Host-session=${cookie}` });
      return ((await response.json()) as { user?: { sub: string } }).user?.sub;
    };
    expect(await userWith(value)).toBe('user-1');
    const other = `${value.slice(0, -2)}${value.endsWith('AA') ? 'BA' : 'AA'}`;
    for (const forged of [other, storeKey(value), 'user-1', `${value}x`, '']) {
      expect(await userWith(forged)).toBeUndefined();
    }
    await store.destroy(storeKey(value));
    expect(await userWith(value)).toBeUndefined();
  });

  test('a session is none for another client or another issuer, store and secret shared', async () => {
    const store = memoryStore();
    app = await startWebApp(issuer, { session: { store } });
    const [, value] = await signIn();
    await app.served.close();
    const userAt = async (options: Partial<AuthOptions>) => {
      const another = await startWebApp(issuer, { session: { store }, ...options });
      const response = await another.browser.get('/', { cookie: `__Host-session=${value}` });
      await another.served.close();
      return ((await response.json()) as { user?: { sub: string } }).user?.sub;
    };
    expect(await userAt({ clientID: 'client-2' })).toBeUndefined();
    expect(await userAt({ issuerBaseURL: 'https://other.example/' })).toBeUndefined();
    expect(await userAt({ issuerBaseURL: ISSUER.replace(/\/$/, '') })).toBe('user-1');
    app = await startWebApp(issuer, { session: { store } });
  });

  test('a name that only looks like it, as a subdomain could plant, is another cookie', async () => {
    app = await startWebApp(issuer);
    const [, value] = await signIn();
    for (const space of ['\u00a0', '\u0085', '\u00c2\u00a0']) {
      const cookie = `${space}__Host-session=${value}`;
      const response = await app.served.browser().get('/', { cookie: `a=1; ${cookie}` });
      expect(((await response.json()) as { user?: object }).user).toBeUndefined();
    }
  });
});
