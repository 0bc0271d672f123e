import { scryptSync } from 'node:crypto';
import { afterAll, describe, expect, test } from '@jest/globals';
import { demoTenantFile, loadTenant } from '../../src/index.ts';
import { isPassword, passwordHashFault } from '../../src/tenant/password.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, openBrowser, tokensFor } from '../support/sign-in.ts';

const hashOf = (password: string, N = 1024, encoding: 'base64' | 'base64url' = 'base64') => {
  const salt = Buffer.from('a salt of 16 byte');
  const hash = scryptSync(password, salt, 32, { N, r: 8, p: 1, maxmem: 2 ** 28 });
  return ['scrypt', N, 8, 1, salt.toString(encoding), hash.toString(encoding)].join('$');
};

const hashed = (tenant: ReturnType<typeof loadTenant>): void => {
  const alice = tenant.users[0]!;
  delete alice.password;
  alice.password_hash = hashOf('alice-demo');
};

afterAll(stopServers);

test.each(['base64', 'base64url'] as const)(
  'a hash in %s is that of one password',
  async (form) => {
    const user = { ...loadTenant(demoTenantFile).users[0]!, password: undefined };
    const password_hash = hashOf('pässword', 32_768, form);
    expect(passwordHashFault(password_hash)).toBeUndefined();
    expect(await isPassword({ ...user, password_hash }, 'pässword')).toBe(true);
    for (const wrong of ['passwort', '', password_hash]) {
      expect(await isPassword({ ...user, password_hash }, wrong)).toBe(false);
    }
  },
);

test('a user without either has no password, not an empty one', async () => {
  const user = { ...loadTenant(demoTenantFile).users[0]!, password: undefined };
  expect(await isPassword(user, '')).toBe(false);
});

describe('a hash that cannot be used says why', () => {
  const good = hashOf('x');
  test.each([
    ['another method', good.replace('scrypt', 'bcrypt'), /scrypt\$N\$r\$p/],
    ['a part is missing', good.split('$').slice(0, 5).join('$'), /scrypt\$N\$r\$p/],
    ['N no power of 2', good.replace('$1024$', '$1000$'), /power of 2/],
    ['N too small', good.replace('$1024$', '$1$'), /power of 2/],
    ['N too large for r', good.replace('$1024$8$', '$65536$1$'), /less than 65536/],
    ['r is 0', good.replace('$8$', '$0$'), /r must be/],
    ['p too large', good.replace('$8$1$', '$8$17$'), /p from 1 to 16/],
    ['too much memory', good.replace('$1024$', '$1048576$'), /256 MiB/],
    ['a short hash', good.replace(/[^$]+$/, 'AAAA'), /16 bytes/],
  ])('%s', (_name, hash, message) => {
    expect(passwordHashFault(hash)).toMatch(message);
  });
});

test('a user with a hash signs in, has no button, and no Action sees the hash', async () => {
  const server = await startDemo((tenant) => {
    hashed(tenant);
    const body =
      "api.idToken.setCustomClaim('https://x.example/seen', Object.keys(event.user).join(' '));";
    Object.assign(tenant, { postLogin: [actionOf(body)] });
  });
  const page = await openBrowser().get(authorizationRequest(server).url);
  expect(page.body).toContain('bob@example.com');
  expect(page.body).not.toContain('alice@example.com');
  const { tokens } = await tokensFor(server, 'alice');
  const [, payload = ''] = (tokens.id_token ?? '').split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, string>;
  expect(claims['https://x.example/seen']).toContain('email');
  expect(claims['https://x.example/seen']).not.toContain('password');
});

test('a wrong password for a hash is refused', async () => {
  const server = await startDemo(hashed);
  const browser = openBrowser();
  const page = await browser.get(authorizationRequest(server).url);
  const answer = await browser.submit(page, { username: 'alice@example.com', password: 'wrong' });
  expect(answer.statusCode).toBe(400);
});
