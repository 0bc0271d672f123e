import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AuthorizationServer } from '../../src/index.ts';
import { signIn } from '../../src/testing/sign-in.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, CALLBACK } from '../support/sign-in.ts';

let server: AuthorizationServer;
beforeAll(async () => {
  server = await startDemo((tenant) => {
    tenant.attack_protection.brute_force_protection.max_attempts = 1;
  });
});
afterAll(stopServers);

const alice = { email: 'alice@example.com', password: 'alice-demo' };

test('returns the code, with consent and, the second time, without', async () => {
  for (const _ of [1, 2]) {
    const response = await signIn(authorizationRequest(server).url, CALLBACK, alice);
    expect(`${response.origin}${response.pathname}`).toBe(CALLBACK);
    expect(response.searchParams.get('state')).toBe('state-1');
    expect(response.searchParams.get('code')).toBeTruthy();
  }
});

test('returns an error of the authorization response', async () => {
  const { url } = authorizationRequest(server, { prompt: 'none' });
  const response = await signIn(url, CALLBACK, alice);
  expect(response.searchParams.get('error')).toBe('login_required');
});

describe('a failed sign-in reports where it ended, and no password', () => {
  test('a wrong password, and too many of them', async () => {
    const wrong = { email: 'bob@example.com', password: 'secret-guess' };
    const attempt = () =>
      signIn(authorizationRequest(server).url, CALLBACK, wrong).catch(
        (error: Error) => error.message,
      );
    const first = await attempt();
    expect(first).toMatch(/\/u\/login\/\S+ with status 400: Wrong e-mail address or password\.$/);
    expect(first).not.toMatch(/secret-guess|-demo/);
    expect(await attempt()).toMatch(/with status 429: Too many failed sign-ins/);
  });

  test('an unknown client', async () => {
    const { url } = authorizationRequest(server, { client_id: 'unknown' });
    await expect(signIn(url, CALLBACK, alice)).rejects.toThrow(
      /^signing in ended at \S+\/authorize with status 400: /,
    );
  });
});

test('sends nothing to another server', async () => {
  let asked = 0;
  const other = createServer((_request, response) => {
    asked += 1;
    response.end();
  }).listen(0, '127.0.0.1');
  await once(other, 'listening');
  const callback = `http://127.0.0.1:${(other.address() as AddressInfo).port}/callback`;
  const { url } = authorizationRequest(server, {
    client_id: 'contacts-cli',
    redirect_uri: callback,
    scope: 'openid',
  });
  const elsewhere = callback.replace('/callback', '/elsewhere');
  await expect(signIn(url, elsewhere, alice)).rejects.toThrow(`signing in ended at ${callback}`);
  expect(asked).toBe(0);
  other.close();
});
