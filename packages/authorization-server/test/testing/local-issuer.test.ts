import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { demoTenantFile, loadTenant } from '../../src/index.ts';
import {
  type LocalIssuer,
  type LocalIssuerOptions,
  startIssuer,
  startLocalIssuer,
} from '../../src/testing.ts';
import { actionOf } from '../support/demo-server.ts';
import { API } from '../support/sign-in.ts';

describe('a local issuer', () => {
  const running: LocalIssuer[] = [];
  const start = async (options?: LocalIssuerOptions) => {
    const issuer = await startLocalIssuer(options);
    running.push(issuer);
    return issuer;
  };
  afterEach(async () => {
    await Promise.all(running.splice(0).map((issuer) => issuer.close()));
  });

  test('the tenant is the demo, a path or a loaded tenant', async () => {
    const tenant = loadTenant(demoTenantFile);
    tenant.tenant.friendly_name = 'Other';
    const issuers = await Promise.all([
      start(),
      start({ tenant: demoTenantFile }),
      start({ tenant, control: 0 }),
    ]);
    expect(issuers.map((issuer) => issuer.tenant.tenant.friendly_name)).toEqual([
      'Contacts dev tenant',
      'Contacts dev tenant',
      'Other',
    ]);
    expect(issuers[2]?.control?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test('a sign-in proves the second factors that Actions request', async () => {
    const tenant = loadTenant(demoTenantFile);
    const body = `api.authentication.enrollWithAny([{ type: 'phone' }, { type: 'otp' }]);
      api.multifactor.enable('any');`;
    const issuer = await start({ tenant: { ...tenant, postLogin: [actionOf(body)] } });
    const { id_token = '' } = await issuer.tokensFor();
    expect(decodeJwt(id_token).amr).toEqual(['mfa']);
  });

  test('a wrong tenant file is named', async () => {
    await expect(startLocalIssuer({ tenant: 'missing.yaml' })).rejects.toMatchObject({
      name: 'InvalidTenant',
    });
  });

  test.each<[name: string, options: object, fault: string]>([
    ['a misspelled option', { tenat: 'tenant.yaml' }, 'tenat is unknown'],
    ['a tenant that was not loaded', { tenant: { clients: [] } }, 'tenant must be what loadTenant'],
    ['no tenant', { tenant: null }, 'tenant must be what loadTenant returns'],
    ['a port that is a name', { port: 'http' }, 'port must be a port number from 0 to 65535'],
    ['a path as state', { state: 'memory' }, 'state must be memory: or file:PATH'],
    ['a path as keys', { keys: './keys.json' }, 'keys must be memory: or file:PATH'],
    ['an issuer with a path', { issuer: 'http://localhost/a/' }, 'issuer must have no path'],
    ['an issuer without https', { issuer: 'http://idp.example/' }, 'issuer must be an https URL'],
    ['a control that is on', { control: true }, 'control must be a port number'],
    ['a watch that is a text', { watch: 'no' }, 'watch must be true or false'],
    ['a logger without children', { logger: console }, 'logger must be a logger of pino'],
    ['a list of options', Object.assign([], ['tenant.yaml']), '0 is unknown'],
  ])('%s is named', async (_name, options, fault) => {
    await expect(start(options)).rejects.toThrow(fault);
  });

  test('an issuer gets a slash, and a port can be digits', async () => {
    const { issuer } = await start({ issuer: 'http://localhost:1', port: '0' as never });
    expect(issuer).toBe('http://localhost:1/');
  });

  test.each<[name: string, call: (issuer: LocalIssuer) => unknown, fault: string]>([
    ['a token', ({ tokenFor }) => tokenFor({ usr: 'bob' } as never), 'usr is unknown'],
    ['a list', ({ tokensFor }) => tokensFor({ scope: [] as never }), 'scope must be a text'],
    ['a user alone', ({ tokenFor }) => tokenFor('bob' as never), 'options must be an object'],
    ['a rotation', (issuer) => issuer.rotateKeys({ revok: true } as never), 'revok is unknown'],
    ['a value', (issuer) => issuer.rotateKeys({ revoke: 1 as never }), 'revoke must be true or'],
    ['a tenant', async (issuer) => issuer.useTenant('a.yaml' as never), 'tenant must be what'],
    [
      'keywords',
      async () => loadTenant(demoTenantFile, { keyword: {} } as never),
      'keyword is unknown',
    ],
  ])('a wrong argument is named: %s', async (_name, call, fault) => {
    await expect(call(await start())).rejects.toThrow(fault);
  });

  test('what the tenant does not have is named', async () => {
    const tenant = loadTenant(demoTenantFile);
    const issuer = await start({ tenant: { ...tenant, clients: [], resourceServers: [] } });
    await expect(issuer.tokenFor()).rejects.toThrow(
      'the tenant has no application with the grant type authorization_code and a callback',
    );
    expect(() => issuer.hostileTokens()).toThrow('claims.aud must name the API');
  });

  test('tokens, faults, clock, log and reset are those of the server', async () => {
    const issuer = await start();
    issuer.clock = -3600;
    const token = await issuer.tokenFor({ user: 'bob' });
    expect(decodeJwt(token).sub).toBe('auth0|bob');
    expect(Number(decodeJwt(token).iat)).toBeLessThan(Date.now() / 1000 - 3000);
    expect((await issuer.tokensFor()).id_token).toBeTruthy();
    issuer.faults.add({ endpoint: '/oauth/token', status: 503 });
    await expect(issuer.tokenFor()).rejects.toThrow('refused: temporarily_unavailable');
    expect(issuer.log().length).toBeGreaterThanOrEqual(3);
    issuer.reset();
    expect([issuer.log(), issuer.clock]).toEqual([[], 0]);
  });

  describe('the package imports of this project', () => {
    const source = join(import.meta.dirname, '../../src');
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
      /\.tsx?$/.test(file),
    );
    const isTesting = (file: string) => /^testing\b/.test(file);
    const importsOf = (file: string) =>
      [...readFileSync(join(source, file), 'utf8').matchAll(/from '([^']+)'/g)].map(
        ([, name]) => name,
      );

    test('the service, and hostile tokens from the testing entry only', () => {
      const ours = files.flatMap((file) =>
        importsOf(file)
          .filter((name) => name?.startsWith('@koa-oauth/'))
          .map((name) => [isTesting(file), name]),
      );
      expect(ours.length).toBeGreaterThan(0);
      const right = [
        [true, '@koa-oauth/issuer/testing'],
        [false, '@koa-oauth/service'],
        [false, '@koa-oauth/service/log'],
        [false, '@koa-oauth/service/sqlite'],
      ];
      for (const one of ours) expect(right).toContainEqual(one);
    });

    test('nothing for tests outside of the testing entry', () => {
      const wrong = files
        .filter((file) => !isTesting(file))
        .filter((file) => importsOf(file).some((name) => /^\.\/testing\b/.test(name ?? '')));
      expect(wrong).toEqual([]);
    });
  });
});

describe('minted tokens', () => {
  let issuer: LocalIssuer;
  beforeAll(async () => {
    issuer = await startLocalIssuer();
    issuer.tenant.resourceServers.push({
      ...issuer.tenant.resourceServers[0]!,
      identifier: 'https://reports.example.com',
      token_dialect: 'rfc9068_profile',
      token_lifetime: 60,
    });
  });
  afterAll(() => issuer.close());

  const verify = (token: string) =>
    jwtVerify(token, createRemoteJWKSet(new URL('.well-known/jwks.json', issuer.issuer)));
  const now = () => Math.floor(Date.now() / 1000);

  test('mint signs a token in the dialect of Auth0, which the published key verifies', async () => {
    const { payload, protectedHeader } = await verify(issuer.mint({ permissions: ['x'] }));
    expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'JWT', kid: expect.any(String) });
    expect(payload).toEqual({
      iss: issuer.issuer,
      sub: 'auth0|alice',
      aud: API,
      azp: 'contacts-web',
      iat: expect.any(Number),
      exp: Number(payload.iat) + 86_400,
      permissions: ['x'],
    });
    expect(Math.abs(Number(payload.iat) - now())).toBeLessThan(10);
  });

  test('mint signs a token in the form of RFC 9068 section 2, by the clock of the server', async () => {
    issuer.clock = 600;
    const { payload, protectedHeader } = await verify(
      issuer.mint({ aud: 'https://reports.example.com' }),
    );
    issuer.clock = 0;
    expect(protectedHeader.typ).toBe('at+jwt');
    expect(payload).toMatchObject({ client_id: 'contacts-web', jti: expect.any(String) });
    expect(payload).not.toHaveProperty('azp');
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
    expect(Math.abs(Number(payload.iat) - 600 - now())).toBeLessThan(10);
  });

  test('any claim and header can be changed or removed', () => {
    const token = issuer.mint(
      { exp: undefined, aud: ['a', 'b'], sub: 5 },
      { typ: 'x', kid: undefined },
    );
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'RS256', typ: 'x' });
    expect(decodeJwt(token)).toMatchObject({ aud: ['a', 'b'], sub: 5 });
    expect(decodeJwt(token)).not.toHaveProperty('exp');
  });

  test('the current key signs, after a rotation too', async () => {
    const before = issuer.mint();
    await issuer.rotateKeys();
    const after = issuer.mint();
    expect(decodeProtectedHeader(after).kid).not.toBe(decodeProtectedHeader(before).kid);
    await verify(after);
    await issuer.revokePreviousKey();
    await expect(verify(before)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
  });

  describe('hostile tokens', () => {
    test('are a hundred, by name, most with a genuine signature', async () => {
      const tokens = issuer.hostileTokens({ scope: 'read:contacts' });
      expect(Object.keys(tokens).length).toBeGreaterThan(100);
      const { payload } = await verify(tokens['sub missing']);
      expect(payload).toMatchObject({ iss: issuer.issuer, aud: API, scope: 'read:contacts' });
      expect(payload).not.toHaveProperty('sub');
      await expect(verify(tokens['another key under the right kid'])).rejects.toMatchObject({
        code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
      });
    });

    test('can be signed one by one', () => {
      const token = issuer.mint.hostile('exp past', { aud: 'https://reports.example.com' });
      expect(decodeJwt(token).aud).toBe('https://reports.example.com');
      expect(Number(decodeJwt(token).exp)).toBeLessThan(now());
      expect(() => issuer.mint.hostile('exp pats' as never)).toThrow('no hostile token "exp pats"');
    });
  });
});

test('tests of users can start it by its old name', () => {
  expect(startIssuer).toBe(startLocalIssuer);
});
