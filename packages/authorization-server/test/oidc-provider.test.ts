import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

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
