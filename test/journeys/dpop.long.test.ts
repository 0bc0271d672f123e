import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import got from 'got';
import {
  calculateJwkThumbprint,
  decodeJwt,
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { FormBrowser, type Page } from '../support/form-browser.ts';
import { proves } from '../support/proves.ts';
import { type Services, startServices } from '../support/services.ts';

const USERNAME = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT = 'form:has([name="action"])';
const ADD = 'form[action="/contacts"][method="post"]';
const REFRESH = 'form[action^="/session/refresh"]:not(:has(select))';
const tryForm = (name: string) => `form:has(input[name="attempt"][value="${name}"])`;

let services: Services;
const browser = new FormBrowser();
let contacts: Page;

beforeAll(async () => {
  services = await startServices({
    settings: { web: { DPOP: 'true' }, api: { DPOP: 'required', DPOP_NONCE: 'true' } },
  });
  const login = await browser.open(`${services.web}/contacts`);
  const credentials = { username: 'alice@example.com', password: 'alice-demo' };
  const consent = await browser.submit(login, USERNAME, credentials);
  contacts = await browser.submit(consent, CONSENT, { action: 'accept' });
});
afterAll(() => services?.stop());

const session = () => browser.open(`${services.web}/session`);
const text = (page: Page, selector: string) => page.html.querySelector(selector)?.text ?? '';
const accessTokenOf = (page: Page) =>
  text(page, '[aria-labelledby="access_token-heading"] code.raw').trim();
const answerOf = (page: Page) => page.html.querySelector('#answer')?.text ?? '';

test('alice signs in, sees her contacts, adds one and refreshes; the API demands nonces', async () => {
  expect([contacts.url, contacts.status]).toEqual([`${services.web}/contacts`, 200]);
  expect(contacts.html.text).toContain('Ada Lovelace');
  const fields = { name: 'Hedy Lamarr', email: 'hedy@example.com' };
  const added = await browser.submit(contacts, ADD, fields);
  expect(added.html.text).toContain('Hedy Lamarr');
  // The demand of a nonce sent the form once more, and it was refused before.
  expect(added.html.text.split('hedy@example.com')).toHaveLength(2);

  const before = await session();
  const after = await browser.submit(before, REFRESH, {});
  expect(answerOf(after)).toContain('A new access token');
  const [{ cnf: first }, { cnf: second }] = [before, after].map((page) =>
    decodeJwt(accessTokenOf(page)),
  ) as [JWTPayload, JWTPayload];
  expect(first).toEqual({ jkt: expect.stringMatching(/^[\w-]{43}$/) });
  expect(second).toEqual(first);
});

test('the session page shows the key, its binding and a proof', async () => {
  const page = await session();
  const card = text(page, '[aria-labelledby="proof-heading"]');
  const { cnf } = decodeJwt(accessTokenOf(page)) as { cnf?: { jkt: string } };
  expect(card).toContain(`has the thumbprint ${cnf?.jkt}, which the access token has in “cnf”`);
  for (const claim of ['htm', 'htu', 'ath', 'nonce']) expect(card).toContain(claim);
});

test.each([
  ['none', /401[\s\S]*DPoP realm/],
  ['expired', /401[\s\S]*error="invalid_token"[\s\S]*expired/],
  ['audience', /401[\s\S]*error="invalid_token"/],
  ['stolen', /401[\s\S]*error="invalid_token"/],
  ['replayed', /401[\s\S]*error="invalid_dpop_proof"[\s\S]*used before/],
])('the broken try "%s" is refused with its own reason', async (name, answer) => {
  const page = await browser.submit(await session(), tryForm(name), {});
  expect(answerOf(page)).toMatch(answer);
});

describe('a thief', () => {
  const contactsURL = () => `${services.api}/contacts`;
  const call = async (headers: Record<string, string>) => {
    const answer = await got(contactsURL(), { headers, throwHttpErrors: false });
    return { status: answer.statusCode, nonce: answer.headers['dpop-nonce'] as string };
  };

  test('who has copied the token opens nothing: without a proof, or with one of another key', async () => {
    proves('RFC 9700 §4.10.1');
    const token = accessTokenOf(await session());
    const { status, nonce } = await call({ authorization: `Bearer ${token}` });
    expect(status).toBe(401);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString(
      'base64url',
    );
    const claims = { htm: 'GET', htu: contactsURL(), jti: randomUUID(), ath, nonce };
    const dpop = await new SignJWT(claims)
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .setIssuedAt()
      .sign(privateKey);
    expect((await call({ authorization: `DPoP ${token}`, dpop })).status).toBe(401);
    const { cnf } = decodeJwt(token) as { cnf?: { jkt: string } };
    expect(cnf?.jkt).not.toBe(await calculateJwkThumbprint(jwk));
  });

  test('who has copied the store and the logs finds no token, key or proof', async () => {
    const token = accessTokenOf(await session());
    const data = join(services.dir, 'data');
    const files = (await readdir(data)).filter((name) => name.startsWith('sessions.db'));
    expect(files.length).toBeGreaterThan(0);
    const contents = await Promise.all(files.map((name) => readFile(join(data, name), 'latin1')));
    for (const copy of [...contents, services.printed()]) {
      expect(copy).not.toContain(token.split('.')[2]);
      expect(copy).not.toContain('"crv":"P-256"');
      // Each proof begins with this header.
      expect(copy).not.toContain(
        Buffer.from('{"typ":"dpop+jwt"').toString('base64url').slice(0, 22),
      );
    }
  });
});

test('with another key after the next sign-in; the old session has ended', async () => {
  const { cnf: before } = decodeJwt(accessTokenOf(await session()));
  const goodbye = await browser.open(`${services.web}/logout`);
  await browser.submit(goodbye, 'main form[action="/logout"]', {});
  const login = await browser.open(`${services.web}/contacts`);
  expect(login.url).toContain(services.issuer);
  const credentials = { username: 'alice@example.com', password: 'alice-demo' };
  expect((await browser.submit(login, USERNAME, credentials)).status).toBe(200);
  expect(decodeJwt(accessTokenOf(await session())).cnf).not.toEqual(before);
});
