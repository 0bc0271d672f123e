import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { PATCHED_VERSION } from '../src/oidc-provider.ts';

test('is imported and runs a whole start without a word on the console', () => {
  const index = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  const program = `
    const { startAuthorizationServer, loadTenant, demoTenantFile } = await import(${JSON.stringify(index)});
    const server = await startAuthorizationServer({ tenant: loadTenant(demoTenantFile) });
    const answer = await fetch(server.issuer + '.well-known/openid-configuration');
    await server.close();
    process.exitCode = answer.ok ? 0 : 1;`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  );
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
});

test('the version that its patches were read from is the one that is installed, and no other may be', () => {
  const { dependencies } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { dependencies: Record<string, string> };
  expect(dependencies['oidc-provider']).toBe(PATCHED_VERSION);
});
