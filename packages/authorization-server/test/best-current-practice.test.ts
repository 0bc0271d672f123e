import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { got } from 'got';
import { decodeJwt } from 'jose';
import { CookieJar } from 'tough-cookie';
import { proves } from '../../../test/support/proves.ts';
import type { AuthorizationServer } from '../src/index.ts';
import { openStateStore } from '../src/state/file.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import {
  authorizationRequest,
  CALLBACK,
  callbackOf,
  openBrowser,
  requestTokens,
  signIn,
  tokensFor,
} from './support/sign-in.ts';

// Rules of RFC 9700 that no single file implements.

const PUBLIC = 'app-in-a-browser';
const ALICE = { username: 'alice@example.com', password: 'alice-demo' };
const SECOND_API = 'https://billing.example.com/api';
const directory = mkdtempSync(join(tmpdir(), 'practice-'));
const state = `file:${join(directory, 'state.db')}`;

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo(
    ({ clients, resourceServers }) => {
      const open = { client_id: PUBLIC, token_endpoint_auth_method: 'none' as const };
      clients.push({ ...clients[0]!, client_secret: undefined, ...open });
      const billing = { identifier: SECOND_API, enforce_policies: false };
      resourceServers.push({ ...resourceServers[0]!, ...billing });
    },
    { state },
  );
});
afterAll(async () => {
  await stopServers();
  rmSync(directory, { recursive: true });
});

const withoutChallenge = { code_challenge: undefined, code_challenge_method: undefined };

async function codeFor(change: Record<string, string | undefined> = {}) {
  const request = authorizationRequest(server, change);
  const code = (await signIn(openBrowser(), request)).get('code') ?? '';
  expect(code).not.toBe('');
  const grant = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK };
  return { code, grant, verifier: request.verifier };
}

describe('PKCE, RFC 9700 §2.1.1', () => {
  test('a public client gets no code without a challenge', async () => {
    proves('RFC 9700 §2.1.1', 'ASVS 10.4.6');
    const { url } = authorizationRequest(server, { client_id: PUBLIC, ...withoutChallenge });
    const callback = callbackOf(await openBrowser().get(url));
    expect(callback.get('error')).toBe('invalid_request');
    expect(callback.get('code')).toBeNull();
  });

  test('a verifier for a code that was got without a challenge is refused (§4.8.2)', async () => {
    proves('RFC 9700 §4.8');
    const { grant, verifier } = await codeFor(withoutChallenge);
    const { status, body } = await requestTokens(server, { ...grant, code_verifier: verifier });
    expect([status, body.error]).toEqual([403, 'invalid_grant']);
  });
});

test('a code is good for a minute', async () => {
  proves('RFC 9700 §4.3', 'ASVS 10.4.3');
  const { code } = await codeFor();
  const after = (seconds: number) => {
    const store = openStateStore(state, () => Math.floor(Date.now() / 1000) + seconds);
    try {
      return store.read('AuthorizationCode', code);
    } finally {
      store.close();
    }
  };
  expect(after(0)).toBeDefined();
  expect(after(61)).toBeUndefined();
});

test('a token is for the API that it was asked for, and no other', async () => {
  proves(
    'RFC 6750 §5.1 redirect',
    'RFC 9068 §3',
    'RFC 9068 §5 audience',
    'RFC 9700 §4.9.2',
    'ASVS 9.2.4',
  );
  const { tokens } = await tokensFor(server, 'alice', {
    audience: SECOND_API,
    scope: 'read:contacts',
    nonce: undefined,
  });
  expect(decodeJwt(tokens.access_token ?? '').aud).toBe(SECOND_API);
});

test.each([
  ['oauth/par', { response_type: 'code', redirect_uri: CALLBACK, scope: 'openid' }],
  ['oauth/revoke', { token: 'x' }],
])('/%s asks who the client is', async (path, form) => {
  proves('ASVS 10.4.10');
  const send = async (client_secret: string) => {
    const { statusCode } = await got.post(new URL(path, server.issuer), {
      form: { ...form, client_id: 'contacts-web', client_secret },
      throwHttpErrors: false,
    });
    return statusCode;
  };
  expect(await send('wrong')).toBe(401);
  expect(await send('contacts-web-demo-secret')).toBeLessThan(300);
});

test('a form with a password is answered 303, which does not repeat it (§4.12)', async () => {
  proves('RFC 9700 §4.12');
  const cookieJar = new CookieJar();
  const { url } = await got(authorizationRequest(server).url, { cookieJar });
  expect(url).toContain('/u/login/');
  const { statusCode } = await got.post(url, {
    form: ALICE,
    cookieJar,
    followRedirect: false,
    throwHttpErrors: false,
  });
  expect(statusCode).toBe(303);
});

test('a sign-in that one browser began is of no use in another', async () => {
  proves('RFC 9700 §4.7');
  const page = await openBrowser().get(authorizationRequest(server).url);
  const answer = await openBrowser().submit(page, ALICE);
  expect(answer.statusCode).toBe(400);
});

test('the consent page names the application, the API and each scope', async () => {
  proves('ASVS 10.7.2');
  const browser = openBrowser();
  const login = await browser.get(authorizationRequest(server).url);
  // No other test here signs in as carol, whose consent would be remembered.
  const carol = { username: 'carol@example.com', password: 'carol-demo' };
  const { url, body } = await browser.submit(login, carol);
  expect(url).toContain('/u/consent/');
  expect(body).toContain('Authorize Contacts');
  expect(body).toContain('In Contacts API');
  for (const scope of ['Stay signed in while you are away', 'Delete contacts']) {
    expect(body).toContain(scope);
  }
});
