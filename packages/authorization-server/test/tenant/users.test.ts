import { scryptSync } from 'node:crypto';
import { afterAll, describe, expect, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';
import fc from 'fast-check';
import { openStateStore } from '../../src/state/file.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';
import type { Tenant } from '../../src/tenant/tenant.ts';
import {
  isPassword,
  isSubject,
  passwordFault,
  passwordHashFault,
  readProfile,
} from '../../src/tenant/user-schema.ts';
import { Users } from '../../src/tenant/users.ts';
import { actionOf, startDemo, stopServers } from '../support/demo-server.ts';
import { connectionTo } from '../support/partner.ts';
import { authorizationRequest, openBrowser, tokensFor } from '../support/sign-in.ts';

describe('users', () => {
  const ID = 'oidc|partner|eve';
  const connection = connectionTo('https://partner.example');

  function tenantWith(entry?: Partial<Tenant['users'][number]>): Tenant {
    const tenant = loadTenant(demoTenantFile);
    tenant.connections.push(connection);
    const [alice] = tenant.users;
    if (entry) tenant.users.push({ ...alice!, password: undefined, user_id: ID, ...entry });
    return tenant;
  }

  test('users of the file are found, and others are not', () => {
    const tenant = tenantWith();
    const users = new Users({ tenant, store: openStateStore('memory:') });
    expect(users.find('auth0|alice')).toBe(tenant.users[0]);
    for (const id of ['auth0|eve', ID, '', 'oidc|partner|']) expect(users.find(id)).toBeUndefined();
  });

  test('a federated user exists from the first sign-in on, with the profile of the last one', () => {
    const users = new Users({ tenant: tenantWith(), store: openStateStore('memory:') });
    expect(users.storeProfile(connection, 'eve', {})).toEqual({
      user_id: ID,
      name: 'eve',
      email: '',
      email_verified: false,
      roles: [],
      app_metadata: {},
      user_metadata: {},
      blocked: false,
    });
    users.storeProfile(connection, 'eve', { email: 'eve@example.com', email_verified: true });
    expect(users.find(ID)).toMatchObject({ name: 'eve@example.com', email_verified: true });
    users.storeProfile(connection, 'eve', { name: 'Eve' });
    expect(users.find(ID)).toMatchObject({ name: 'Eve', email: '', email_verified: false });
  });

  test('roles and metadata come from the file, the profile from the provider', () => {
    const entry = { name: 'X', email: 'x@example.com', roles: ['admin'], app_metadata: { a: 1 } };
    const users = new Users({ tenant: tenantWith(entry), store: openStateStore('memory:') });
    expect(users.find(ID)).toMatchObject({ name: 'X' });
    const told = { name: 'Eve', email: 'eve@example.com', email_verified: false };
    expect(users.storeProfile(connection, 'eve', told)).toMatchObject({
      ...told,
      user_id: ID,
      roles: ['admin'],
      app_metadata: { a: 1 },
    });
  });

  test('a federated user exists only while the tenant has the connection', () => {
    const store = openStateStore('memory:');
    new Users({ tenant: tenantWith(), store }).storeProfile(connection, 'eve', {});
    expect(new Users({ tenant: loadTenant(demoTenantFile), store }).find(ID)).toBeUndefined();
    expect(new Users({ tenant: tenantWith(), store }).find(ID)).toBeDefined();
  });
});

describe('passwords', () => {
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
      [
        'abcdefghijklmnopqrstuvwxyz',
        '$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.',
      ],
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
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<
      string,
      string
    >;
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
});

describe('claims of a profile', () => {
  describe('the profile of claims', () => {
    test('is read from well-formed claims', () => {
      const profile = {
        name: 'Bob Brown',
        given_name: 'Bob',
        family_name: 'Brown',
        nickname: 'bob',
        picture: 'https://partner.example/bob.png',
        email: 'bob@example.com',
        email_verified: true,
      };
      expect(readProfile({ ...profile, sub: 'bob', roles: ['admin'], blocked: false })).toEqual(
        profile,
      );
      expect(readProfile({ preferred_username: 'bob' })).toEqual({ nickname: 'bob' });
    });

    test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
      ['a name that is an object', { name: { toString: 'x' } }, {}],
      ['a name that is too long', { name: 'x'.repeat(301) }, {}],
      ['a name with a line break', { name: 'Bob\nadmin' }, {}],
      ['a name of blanks', { name: '   ' }, {}],
      [
        'an address with letters of other languages',
        { email: 'josé@münchen.example' },
        { email: 'josé@münchen.example', email_verified: false },
      ],
      ['an address with control characters', { email: 'a\u0000@example.com' }, {}],
      ['an address with characters that are not seen', { email: 'a\u200b@example.com' }, {}],
      ['an address that is none', { email: 'bob', email_verified: true }, {}],
      ['an address that is too long', { email: `${'x'.repeat(320)}@example.com` }, {}],
      [
        'a verification that is a text',
        { email: 'bob@example.com', email_verified: 'true' },
        { email: 'bob@example.com', email_verified: false },
      ],
      ['a verification of nothing', { email_verified: true }, {}],
      ['a picture that is a script', { picture: 'javascript:alert(1)' }, {}],
      ['a picture that is too long', { picture: `https://x.example/${'x'.repeat(2048)}` }, {}],
    ])('%s', (_name, claims, profile) => {
      expect(readProfile(claims)).toEqual(profile);
    });

    test('is short text for any claims', () => {
      const names = ['name', 'given_name', 'nickname', 'preferred_username', 'picture', 'email'];
      const claims = fc.dictionary(fc.constantFrom(...names, 'email_verified'), fc.anything());
      fc.assert(
        fc.property(claims, (told) => {
          for (const [name, value] of Object.entries(readProfile(told))) {
            if (name === 'email_verified') expect(value).toBe(told.email_verified === true);
            else expect(String(value)).toMatch(/^[^\p{Cc}]{1,2048}$/u);
          }
        }),
      );
    });
  });

  test.each([
    ['x', true],
    ['a'.repeat(255), true],
    ['a'.repeat(256), false],
    ['', false],
    ['ü', false],
    ['a\nb', false],
    [1, false],
    [undefined, false],
  ])('%p is a subject identifier: %p', (subject, is) => {
    expect(isSubject(subject)).toBe(is);
  });
});
