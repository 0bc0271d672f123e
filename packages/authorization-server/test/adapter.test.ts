import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createAdapter } from '../src/adapter.ts';
import { demoTenantFile, loadTenant } from '../src/index.ts';
import { openStateStore, type StateStore } from '../src/state/file.ts';

let store: StateStore;
beforeEach(() => {
  store = openStateStore('memory:');
});
afterEach(() => store.close());

const adapterOf = (kind: string) =>
  createAdapter(loadTenant(demoTenantFile), store, { verify: async () => undefined })(kind);

test('of 1000 pushed requests that nobody uses the oldest goes', async () => {
  const adapter = adapterOf('PushedAuthorizationRequest');
  for (let i = 0; i < 1001; i += 1) await adapter.upsert(`r${i}`, {}, 60);
  expect(await adapter.find('r0')).toBeUndefined();
  expect(await adapter.find('r1')).toBeDefined();
});

test('of 5000 sign-ins that nobody completes the oldest goes', async () => {
  const adapter = adapterOf('Interaction');
  for (let i = 0; i < 5000; i += 1) await adapter.upsert(`i${i}`, { uid: `u${i}` }, 3600);
  // One that is completed makes room, and one that goes on does not count twice.
  await adapter.destroy('i5');
  await adapter.upsert('i0', { uid: 'u0', result: {} }, 3600);
  await adapter.upsert('x0', { uid: 'x0' }, 3600);
  expect(await adapter.find('i0')).toBeDefined();
  await adapter.upsert('x1', { uid: 'x1' }, 3600);
  expect(await adapter.find('i0')).toBeUndefined();
  expect(await adapter.find('i1')).toBeDefined();
  expect(await adapter.find('x1')).toBeDefined();
});

test('of other records none goes', async () => {
  const adapter = adapterOf('Session');
  for (let i = 0; i < 5010; i += 1) await adapter.upsert(`s${i}`, { uid: `u${i}` }, 3600);
  expect(await adapter.find('s0')).toBeDefined();
});

test('a record is used up once, also by two at a time', async () => {
  const adapter = adapterOf('AuthorizationCode');
  await adapter.upsert('code', {}, 60);
  const results = await Promise.allSettled([adapter.consume('code'), adapter.consume('code')]);
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});
