import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Adapter } from 'oidc-provider';
import { createAdapter } from '../src/adapter.ts';
import { boundedAdapter } from '../src/bounded-adapter.ts';
import { openStateStore, type StateStore } from '../src/state/file.ts';
import { demoTenantFile, loadTenant } from '../src/tenant/load.ts';

let store: StateStore;
let bounded: Adapter;
let owner: string;
beforeEach(() => {
  store = openStateStore('memory:');
  const verify = async () => undefined;
  const inner = createAdapter(loadTenant(demoTenantFile), store, { verify })('Session');
  bounded = boundedAdapter(inner, 4, () => owner);
});
afterEach(() => store.close());

const write = async (by: string, ...ids: string[]) => {
  owner = by;
  for (const id of ids) await bounded.upsert(id, {}, 60);
};
const kept = (...ids: string[]) => ids.filter((id) => store.read('Session', id) !== undefined);

test('the oldest goes for one too many', async () => {
  await write('a', 'a1', 'a2', 'a3', 'a4', 'a5');
  expect(kept('a1', 'a2', 'a3', 'a4', 'a5')).toEqual(['a2', 'a3', 'a4', 'a5']);
});

test('nobody who writes much pushes out what others wrote before', async () => {
  await write('b', 'b1');
  await write('c', 'c1');
  await write('a', ...Array.from({ length: 50 }, (_, i) => `a${i}`));
  expect(kept('b1', 'c1', 'a48', 'a49', 'a47')).toEqual(['b1', 'c1', 'a48', 'a49']);
});

test('what is written again or destroyed counts once or not at all', async () => {
  await write('a', 'a1', 'a1', 'a1', 'a2', 'a3');
  await bounded.destroy('a2');
  await write('a', 'a4', 'a5');
  expect(kept('a1', 'a2', 'a3', 'a4', 'a5')).toEqual(['a1', 'a3', 'a4', 'a5']);
});
