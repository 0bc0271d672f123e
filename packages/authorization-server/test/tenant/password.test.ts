import { scryptSync } from 'node:crypto';
import { afterAll, describe, expect, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';
import type { Tenant } from '../../src/index.ts';
import { isPassword, passwordFault, passwordHashFault } from '../../src/tenant/password.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { authorizationRequest, openBrowser, tokensFor } from '../support/sign-in.ts';

const hashed = (tenant: Tenant): void => {
  const alice = tenant.users[0]!;
  delete alice.password;
  alice.password_hash = hashSync('alice-demo', 4);
};

afterAll(stopServers);

describe('a bcrypt hash', () => {
  // The first two are test vectors of jBCrypt.
  test.each([
    ['abc', '$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i'],
    ['abcdefghijklmnopqrstuvwxyz', '$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.'],
    ['pässword', hashSync('pässword', 4)],
    ['x'.repeat(72), hashSync('x'.repeat(72), 4)],
    ['', hashSync('', 4)],
  ])('fits one password: "%s"', async (password, password_hash) => {
    expect(passwordHashFault(password_hash)).toBeUndefined();
    expect(await isPassword({ password_hash }, password)).toBe(true);
    for (const wrong of [`${password}.`, 'passwort', password_hash]) {
      expect(await isPassword({ password_hash }, wrong)).toBe(false);
    }
  });

  const good = '$2b$10$RXDOrOAmkyZi.OBDZZ/yceHrV9YRl9z.nJOEGK2isQldEk9fpJW7O';
  const scrypt = scryptSync('x', 'salt', 32).toString('base64');
  test.each([
    ['another method', `scrypt$16384$8$1$c2FsdA==$${scrypt}`, /give a bcrypt hash as Auth0/],
    ['another version', good.replace('$2b', '$2x'), /give a bcrypt hash as Auth0/],
    ['cut off', good.slice(0, -1), /then 53 characters/],
    ['too long', `${good}a`, /then 53 characters/],
    ['a line too much', `${good}\n`, /then 53 characters/],
    ['a salt with unused bits set', good.replace('yce', 'ycf'), /then 53 characters/],
    ['a hash with unused bits set', good.replace(/O$/, 'P'), /then 53 characters/],
    ['a cost too low', good.replace('$10$', '$03$'), /the cost is 03: .* from 4 to 14/],
    ['a cost too high', good.replace('$10$', '$15$'), /the cost is 15: .* from 4 to 14/],
  ])('that cannot be used says why: %s', (_name, hash, message) => {
    expect(passwordHashFault(good)).toBeUndefined();
    expect(passwordHashFault(hash)).toMatch(message);
  });
});

test('a password has at most 72 bytes, which bcrypt reads', () => {
  expect(passwordFault('x'.repeat(72))).toBeUndefined();
  for (const long of ['x'.repeat(73), 'ä'.repeat(37)]) {
    expect(passwordFault(long)).toMatch(/^give at most 72 bytes/);
  }
});

test('a user without a password or hash has no password, not an empty one', async () => {
  expect(await isPassword({}, '')).toBe(false);
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
