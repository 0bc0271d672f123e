import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { decodeJwt } from 'jose';
import { FormBrowser, type Page } from './form-browser.ts';
import type { Exchange } from './recording-proxy.ts';
import { type Stage, TOKEN_LIFETIME } from './secret-stage.ts';

const LOGIN = 'form:has(input[name="password"])';
const CONSENT = 'form:has([name="action"])';
/** Milliseconds until an access token must be renewed. */
const HALF_LIFETIME = TOKEN_LIFETIME * 500 + 50;

type OnContent = () => Promise<void>;

/**
 * Signs in, calls the API, and makes the mistakes of users and attackers.
 *
 * @param onContent called whenever the store has content
 */
export async function useEverything(stage: Stage, onContent: OnContent): Promise<void> {
  const [alice, bob] = ['alice', 'bob'].map((userAgent) => new FormBrowser({ userAgent })) as [
    FormBrowser,
    FormBrowser,
  ];
  await useContacts(stage, alice, onContent);
  await sendWrongCallbacks(stage, alice, bob);
  await onContent();
  await refreshAndReuse(stage, alice, onContent);
  await meetOutages(stage, alice, onContent);
  await signIn(stage, bob, 'bob');
  await onContent();
  await signOut(stage, bob);
  await onContent();
  await sendLogoutToken(stage);
  await onContent();
}

async function useContacts(stage: Stage, alice: FormBrowser, onContent: OnContent): Promise<void> {
  const web = stage.toWeb.url;
  const contacts = await signIn(stage, alice, 'alice');
  await onContent();
  await alice.submit(contacts, 'form[action="/contacts"][method="post"]', {
    name: 'Hedy Lamarr',
    email: 'hedy@example.com',
  });
  for (const path of await linksOn(alice, web)) await alice.open(web + path);
  expect((await alice.open(`${web}/not-a-page-of-this-app`)).status).toBe(404);
}

/** Sends callbacks of another browser, used before, never requested, and with a wrong code. */
async function sendWrongCallbacks(
  stage: Stage,
  alice: FormBrowser,
  bob: FormBrowser,
): Promise<void> {
  const web = stage.toWeb.url;
  const used = callbacksOf(stage)[0]?.url ?? '';
  expect((await bob.open(web + used)).status).toBe(400);
  expect((await bob.open(`${web}/callback?error=access_denied&state=x`)).status).toBe(400);
  expect((await alice.open(web + used)).url).toBe(`${web}/`);
  const carol = new FormBrowser({ userAgent: 'carol', stopAt: `${web}/callback` });
  const asked = await typePassword(stage, carol, await carol.open(`${web}/contacts`), 'carol');
  const { location = '' } = await carol.submit(asked, CONSENT, { action: 'accept' });
  const forged = new URL(location);
  forged.searchParams.set('code', 'a-code-that-the-issuer-never-made');
  const refused = tokenRequestsOf(stage, 'authorization_code').length;
  expect((await carol.open(forged.href)).status).toBe(400);
  expect(tokenRequestsOf(stage, 'authorization_code')).toHaveLength(refused + 1);
}

/** Lets the app refresh, then uses the old refresh token, which ends the family. */
async function refreshAndReuse(
  stage: Stage,
  alice: FormBrowser,
  onContent: OnContent,
): Promise<void> {
  const web = stage.toWeb.url;
  await sleep(HALF_LIFETIME);
  expect((await alice.open(`${web}/contacts`)).status).toBe(200);
  const [refresh] = tokenRequestsOf(stage, 'refresh_token');
  expect(refresh?.status).toBe(200);
  await onContent();
  const stolen = await fetch(`${stage.issuer.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams(refresh?.requestBody),
  });
  expect(stolen.status).toBe(403);
  await sleep(HALF_LIFETIME);
  const signIns = callbacksOf(stage).length;
  expect((await alice.open(`${web}/contacts`)).status).toBe(200);
  expect(callbacksOf(stage)).toHaveLength(signIns + 1);
}

async function meetOutages(stage: Stage, alice: FormBrowser, onContent: OnContent): Promise<void> {
  const { toWeb, toApi, toIssuer } = stage;
  toApi.isDown = true;
  expect((await alice.open(`${toWeb.url}/contacts`)).status).toBe(503);
  toApi.isDown = false;
  toIssuer.isDown = true;
  await sleep(TOKEN_LIFETIME * 1000);
  expect((await alice.open(`${toWeb.url}/contacts`)).status).toBe(503);
  await onContent();
  toIssuer.isDown = false;
}

async function signOut({ toWeb }: Stage, bob: FormBrowser): Promise<void> {
  const goodbye = await bob.open(`${toWeb.url}/logout`);
  const out = await bob.submit(goodbye, 'main form[action="/logout"]', {});
  expect([out.url, out.status]).toEqual([`${toWeb.url}/`, 200]);
}

async function sendLogoutToken(stage: Stage): Promise<void> {
  const { status } = await fetch(`${stage.toWeb.url}/backchannel-logout`, {
    method: 'POST',
    headers: { 'user-agent': 'issuer' },
    body: new URLSearchParams({ logout_token: logoutToken(stage) }),
  });
  expect(status).toBe(200);
}

function callbacksOf({ toWeb }: Stage): Exchange[] {
  return toWeb.exchanges.filter(({ url }) => url.startsWith('/callback?'));
}

function tokenRequestsOf({ toIssuer }: Stage, grant: string): Exchange[] {
  return toIssuer.exchanges.filter(({ requestBody }) =>
    requestBody.includes(`grant_type=${grant}`),
  );
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
