import { afterAll, expect, test } from '@jest/globals';
import { got } from 'got';
import { pino } from 'pino';
import { createFaults } from '../src/control/faults.ts';
import { openKeyRing } from '../src/keys/key-ring.ts';
import { close, listen, portOf } from '../src/listener.ts';
import { createTransactions } from '../src/log/transactions.ts';
import { createRunningApp } from '../src/running-app.ts';
import { openStateStore } from '../src/state/file.ts';
import { demoTenantFile, loadTenant } from '../src/tenant/load.ts';
import type { Tenant } from '../src/tenant/tenant.ts';

const server = await listen('127.0.0.1', 0);
const url = `http://127.0.0.1:${portOf(server)}`;
const store = openStateStore('memory:');
const faults = createFaults();
const tenant = loadTenant(demoTenantFile);
const app = createRunningApp({
  issuer: `${url}/`,
  tenant,
  ring: await openKeyRing('memory:'),
  store,
  clock: { seconds: 0 },
  faults,
  transactions: createTransactions(),
  showLog: false,
  log: pino({ level: 'silent' }),
});
server.on('request', app.answer);
afterAll(async () => {
  await close(server);
  store.close();
});

const kids = async () => {
  const { keys } = await got(`${url}/.well-known/jwks.json`).json<{ keys: { kid: string }[] }>();
  return keys.map(({ kid }) => kid);
};

test('a request that has begun ends with the keys it began with', async () => {
  const before = await kids();
  faults.add({ endpoint: '/.well-known/jwks.json', delay: 200 });
  const begun = kids();
  while (faults.list().length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await app.rotateKeys();
  expect(await kids()).toEqual([before[1], expect.any(String), before[0]]);
  expect(await begun).toEqual(before);
});

test('another tenant takes the place; of one that can not be used the old one stays', async () => {
  const named = (name: string): Tenant => ({
    ...tenant,
    tenant: { ...tenant.tenant, friendly_name: name },
  });
  app.useTenant(named('Other'));
  expect(await got(url).text()).toContain('Other');
  expect(() => app.useTenant({} as Tenant)).toThrow(TypeError);
  expect(app.tenant.tenant.friendly_name).toBe('Other');
  expect(await got(url).text()).toContain('Other');
  await app.rotateKeys();
  expect(await got(url).text()).toContain('Other');
});
