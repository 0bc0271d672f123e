import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { demoTenantFile, loadTenant } from '../src/index.ts';
import { openStateStore } from '../src/state/file.ts';
import { RefreshTokenAdapter } from '../src/token/refresh-token.ts';
import { type Clock, takeClock } from './support/clock.ts';
import { startDemo, stopServers } from './support/demo-server.ts';
import { authorizationRequest, openBrowser } from './support/sign-in.ts';

// Limits are in http/limits.test.ts. A fault waits for requests, not for a time.

const HOUR_MS = 3_600_000;

let clock: Clock;
beforeEach(() => {
  clock = takeClock();
});
afterAll(stopServers);

test('a sign-in that waits ends after an hour', async () => {
  const server = await startDemo();
  const browser = openBrowser();
  const page = await browser.get(authorizationRequest(server).url);
  expect(page.url).toContain('/u/login/');
  clock.wallMs -= 2 * HOUR_MS;
  clock.elapsedMs += HOUR_MS - 60_000;
  expect((await browser.get(page.url)).statusCode).toBe(200);
  clock.elapsedMs += 60_000;
  const answer = await browser.submit(page, {
    username: 'alice@example.com',
    password: 'alice-demo',
  });
  expect(answer.statusCode).toBe(400);
  expect(answer.body).toContain('This sign-in has ended');
});

test('the leeway of a used refresh token ends', async () => {
  const tenant = loadTenant(demoTenantFile);
  Object.assign(tenant.clients[0]!.refresh_token, { rotation_type: 'rotating', leeway: 60 });
  const store = openStateStore('memory:');
  const adapter = new RefreshTokenAdapter(tenant, store);
  const token = { grantId: 'grant', clientId: 'contacts-web', rotations: 0 };
  await adapter.upsert('used', token, 1000);
  await adapter.consume('used');
  await adapter.upsert('next', { ...token, rotations: 1 }, 1000);
  clock.wallMs -= HOUR_MS;
  clock.elapsedMs += 50_000;
  expect(await adapter.find('used')).toMatchObject({ consumed: undefined });
  clock.elapsedMs += 20_000;
  expect(await adapter.find('used')).toMatchObject({ consumed: expect.any(Number) });
  store.close();
});
