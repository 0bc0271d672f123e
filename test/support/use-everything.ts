import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { decodeJwt } from 'jose';
import { FormBrowser, type Page } from './form-browser.ts';
import { type Stage, TOKEN_LIFETIME } from './secret-stage.ts';

const LOGIN = 'form:has(input[name="password"])';
const CONSENT = 'form:has([name="action"])';
/** Milliseconds until an access token must be renewed. */
const HALF_LIFETIME = TOKEN_LIFETIME * 500 + 50;

/**
 * Signs in, calls the API, and makes the mistakes of users and attackers.
 *
 * @param onContent called whenever the store has content
 */
export async function useEverything(stage: Stage, onContent: () => Promise<void>): Promise<void> {
  const { issuer, toWeb, toApi, toIssuer } = stage;
  const web = toWeb.url;
  const browserOf = (userAgent: string) => new FormBrowser({ userAgent });
  const callbacks = () => toWeb.exchanges.filter(({ url }) => url.startsWith('/callback?'));
  const tokenRequests = (grant: string) =>
    toIssuer.exchanges.filter(({ requestBody }) => requestBody.includes(`grant_type=${grant}`));

  const alice = browserOf('alice');
  const contacts = await signIn(stage, alice, 'alice');
  await onContent();
  await alice.submit(contacts, 'form[action="/contacts"][method="post"]', {
    name: 'Hedy Lamarr',
    email: 'hedy@example.com',
  });
  for (const path of await linksOn(alice, web)) await alice.open(web + path);
  expect((await alice.open(`${web}/not-a-page-of-this-app`)).status).toBe(404);

  // Callbacks of another browser, used before, never requested, and with a wrong code.
  const used = callbacks()[0]?.url ?? '';
  const bob = browserOf('bob');
  expect((await bob.open(web + used)).status).toBe(400);
  expect((await bob.open(`${web}/callback?error=access_denied&state=x`)).status).toBe(400);
  expect((await alice.open(web + used)).url).toBe(`${web}/`);
  const carol = new FormBrowser({ userAgent: 'carol', stopAt: `${web}/callback` });
  const asked = await typePassword(stage, carol, await carol.open(`${web}/contacts`), 'carol');
  const { location = '' } = await carol.submit(asked, CONSENT, { action: 'accept' });
  const forged = new URL(location);
  forged.searchParams.set('code', 'a-code-that-the-issuer-never-made');
  const refused = tokenRequests('authorization_code').length;
  expect((await carol.open(forged.href)).status).toBe(400);
  expect(tokenRequests('authorization_code')).toHaveLength(refused + 1);
  await onContent();

  // A refresh. Then an old refresh token is used, which ends the family.
  await sleep(HALF_LIFETIME);
  expect((await alice.open(`${web}/contacts`)).status).toBe(200);
  const [refresh] = tokenRequests('refresh_token');
  expect(refresh?.status).toBe(200);
  await onContent();
  const stolen = await fetch(`${issuer.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams(refresh?.requestBody),
  });
  expect(stolen.status).toBe(403);
  await sleep(HALF_LIFETIME);
  const signIns = callbacks().length;
  expect((await alice.open(`${web}/contacts`)).status).toBe(200);
  expect(callbacks()).toHaveLength(signIns + 1);

  toApi.isDown = true;
  expect((await alice.open(`${web}/contacts`)).status).toBe(503);
  toApi.isDown = false;
  toIssuer.isDown = true;
  await sleep(TOKEN_LIFETIME * 1000);
  expect((await alice.open(`${web}/contacts`)).status).toBe(503);
  await onContent();
  toIssuer.isDown = false;

  await signIn(stage, bob, 'bob');
  await onContent();
  const goodbye = await bob.open(`${web}/logout`);
  const out = await bob.submit(goodbye, 'main form[action="/logout"]', {});
  expect([out.url, out.status]).toEqual([`${web}/`, 200]);
  await onContent();

  const token = logoutToken(stage);
  const loggedOut = await fetch(`${web}/backchannel-logout`, {
    method: 'POST',
    headers: { 'user-agent': 'issuer' },
    body: new URLSearchParams({ logout_token: token }),
  });
  expect(loggedOut.status).toBe(200);
  await onContent();
}

/** Signs in from a page that needs it, back to this page. */
export async function signIn(stage: Stage, browser: FormBrowser, user: string): Promise<Page> {
  const contacts = `${stage.toWeb.url}/contacts`;
  const consent = await typePassword(stage, browser, await browser.open(contacts), user);
  const page = await browser.submit(consent, CONSENT, { action: 'accept' });
  expect([page.url, page.status]).toEqual([contacts, 200]);
  return page;
}

function typePassword(
  { passwords }: Stage,
  browser: FormBrowser,
  login: Page,
  user: string,
): Promise<Page> {
  const username = `${user}@example.com`;
  return browser.submit(login, LOGIN, { username, password: passwords.get(username) ?? '' });
}

/** Returns a logout token for the current session of alice. */
function logoutToken({ issuer, toIssuer }: Stage): string {
  const idTokens = toIssuer.exchanges
    .filter(({ responseBody }) => responseBody.includes('"id_token":'))
    .map(({ responseBody }) => decodeJwt(JSON.parse(responseBody).id_token));
  const sid = idTokens.filter(({ sub }) => sub === 'auth0|alice').at(-1)?.sid;
  const now = Math.floor(Date.now() / 1000);
  return issuer.mint(
    {
      sub: 'auth0|alice',
      aud: 'contacts-web',
      iat: now,
      exp: now + 120,
      jti: `logout-${now}`,
      sid,
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    },
    { typ: 'logout+jwt' },
  );
}

/** Returns the paths of all pages that can be reached by links. */
async function linksOn(browser: FormBrowser, web: string): Promise<string[]> {
  const paths = new Set(['/']);
  for (const path of paths) {
    const { html } = await browser.open(web + path);
    for (const link of html.querySelectorAll('a[href]')) {
      const { origin, pathname } = new URL(link.getAttribute('href') ?? '', web + path);
      if (origin === web && paths.size < 20 && !/^\/(login|callback)/.test(pathname)) {
        paths.add(pathname);
      }
    }
  }
  return [...paths];
}
