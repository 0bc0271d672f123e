import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals';
import type { Tenant } from '../../src/index.ts';
import { takeClock } from '../support/clock.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, callbackOf, openBrowser, signIn } from '../support/sign-in.ts';

const HOUR_MS = 3_600_000;
type Settings = Partial<Tenant['tenant']>;

afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(stopServers);

/** Signs in, and returns a function that checks for the session some hours later. */
async function signedIn(settings: Settings) {
  const clock = takeClock();
  const server = await startDemo((tenant) => {
    Object.assign(tenant.tenant, settings);
  });
  const browser = openBrowser();
  await signIn(browser, authorizationRequest(server));
  const isThereAfter = async (hours: number): Promise<boolean> => {
    clock.pass(hours * HOUR_MS);
    const { url } = authorizationRequest(server, { prompt: 'none' });
    return callbackOf(await browser.get(url)).get('error') === null;
  };
  return { server, browser, clock, isThereAfter };
}

const short: Settings = { session_lifetime: 3, idle_session_lifetime: 2 };
const ephemeral: Settings = { session_cookie: { mode: 'non-persistent' } };

describe('a session', () => {
  test.each<[string, Settings, number, number]>([
    ['by default', {}, 71, 73],
    ['in hours', short, 1.9, 2.1],
    ['in parts of an hour', { idle_session_lifetime: 0.5 }, 0.4, 0.6],
    ['in minutes, which count first', { ...short, idle_session_lifetime_in_minutes: 30 }, 0.4, 0.6],
    ['without a longer end', { session_lifetime: 1 }, 0.9, 1.1],
    ['ephemeral by the others', { ...short, ...ephemeral }, 1.9, 2.1],
    ['ephemeral', { ...short, ...ephemeral, idle_ephemeral_session_lifetime: 1 }, 0.9, 1.1],
    ['not ephemeral', { ...short, idle_ephemeral_session_lifetime: 1 }, 1.9, 2.1],
  ])('ends without use: %s', async (_name, settings, before, after) => {
    expect(await (await signedIn(settings)).isThereAfter(before)).toBe(true);
    jest.restoreAllMocks();
    expect(await (await signedIn(settings)).isThereAfter(after)).toBe(false);
  });

  test('ends although it is used, and a new sign-in starts its time again', async () => {
    const { isThereAfter, server, browser } = await signedIn(short);
    expect([await isThereAfter(1.5), await isThereAfter(1.4)]).toEqual([true, true]);
    const again = authorizationRequest(server, { prompt: 'login' });
    await signIn(browser, again);
    expect([await isThereAfter(1.5), await isThereAfter(1.4)]).toEqual([true, true]);
    expect(await isThereAfter(0.2)).toBe(false);
  });

  test('is not extended when the wall clock is set back', async () => {
    const { isThereAfter, clock } = await signedIn(short);
    clock.wallMs -= 2 * HOUR_MS;
    expect([await isThereAfter(1.5), await isThereAfter(1.4)]).toEqual([true, true]);
    expect(await isThereAfter(0.2)).toBe(false);
  });

  test('ends by a shorter lifetime of a changed tenant', async () => {
    const { isThereAfter, server } = await signedIn(short);
    expect(await isThereAfter(1)).toBe(true);
    server.useTenant({
      ...server.tenant,
      tenant: { ...server.tenant.tenant, session_lifetime: 2 },
    });
    expect([await isThereAfter(0.5), await isThereAfter(0.6)]).toEqual([true, false]);
  });
});

test.each<[Settings, boolean]>([
  [{}, true],
  [{ session_cookie: { mode: 'persistent' } }, true],
  [ephemeral, false],
])('with %j the cookie has an end: %p', async (settings, hasEnd) => {
  const server = await startDemo((tenant) => {
    Object.assign(tenant.tenant, settings);
  });
  const browser = openBrowser();
  const login = await browser.get(authorizationRequest(server).url);
  const page = await browser.submit(login, {
    username: 'alice@example.com',
    password: 'alice-demo',
  });
  const cookies = browser.cookies(page.url).filter(({ key }) => key.startsWith('issuer_session_'));
  expect(cookies.map(({ expires }) => expires instanceof Date)).toEqual([hasEnd]);
});
