import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { demoTenantFile, loadTenant } from '../../src/index.ts';
import { type LocalIssuer, type LocalIssuerOptions, startLocalIssuer } from '../../src/testing.ts';

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

test('a wrong tenant file is named', async () => {
  await expect(startLocalIssuer({ tenant: 'missing.yaml' })).rejects.toMatchObject({
    name: 'InvalidTenant',
  });
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
