import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createAdapter } from '../src/adapter.ts';
import { demoTenantFile, loadTenant } from '../src/index.ts';
import { openStateStore, type StateStore } from '../src/state/file.ts';
import { BoundedAdapter } from '../src/state/store-adapter.ts';

let store: StateStore;
beforeEach(() => {
  store = openStateStore('memory:');
});
afterEach(() => store.close());

const adapterOf = (kind: string) =>
  createAdapter({
    tenant: loadTenant(demoTenantFile),
    store,
    userinfoTokens: { verify: async () => undefined },
  })(kind);

test('more than 1000 unused pushed requests remove the oldest', async () => {
  const adapter = adapterOf('PushedAuthorizationRequest');
  for (let i = 0; i < 1001; i += 1) await adapter.upsert(`r${i}`, {}, 60);
  expect(await adapter.find('r0')).toBeUndefined();
  expect(await adapter.find('r1')).toBeDefined();
});

test('more than 5000 open sign-ins remove the oldest', async () => {
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

test('other records have no limit', async () => {
  const adapter = adapterOf('Session');
  for (let i = 0; i < 5010; i += 1) await adapter.upsert(`s${i}`, { uid: `u${i}` }, 3600);
  expect(await adapter.find('s0')).toBeDefined();
});

test('a record is used up once, also by simultaneous requests', async () => {
  const adapter = adapterOf('AuthorizationCode');
  await adapter.upsert('code', {}, 60);
  const results = await Promise.allSettled([adapter.consume('code'), adapter.consume('code')]);
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

describe('with a limit of four records', () => {
  let bounded: BoundedAdapter;
  let owner: string;
  beforeEach(() => {
    bounded = new BoundedAdapter('Session', store, 4, () => owner);
  });

  const write = async (by: string, ...ids: string[]) => {
    owner = by;
    for (const id of ids) await bounded.upsert(id, {}, 60);
  };
  const kept = (...ids: string[]) => ids.filter((id) => store.read('Session', id) !== undefined);

  test('one too many removes the oldest', async () => {
    await write('a', 'a1', 'a2', 'a3', 'a4', 'a5');
    expect(kept('a1', 'a2', 'a3', 'a4', 'a5')).toEqual(['a2', 'a3', 'a4', 'a5']);
  });

  test('one address with many records does not displace those of others', async () => {
    await write('b', 'b1');
    await write('c', 'c1');
    await write('a', ...Array.from({ length: 50 }, (_, i) => `a${i}`));
    expect(kept('b1', 'c1', 'a48', 'a49', 'a47')).toEqual(['b1', 'c1', 'a48', 'a49']);
  });

  test('a rewritten record counts once, a destroyed one not at all', async () => {
    await write('a', 'a1', 'a1', 'a1', 'a2', 'a3');
    await bounded.destroy('a2');
    await write('a', 'a4', 'a5');
    expect(kept('a1', 'a2', 'a3', 'a4', 'a5')).toEqual(['a1', 'a3', 'a4', 'a5']);
  });

  test('a rewritten record keeps its end', async () => {
    let now = 1000;
    const state = openStateStore('memory:', () => now);
    const adapter = new BoundedAdapter('Interaction', state, 4, () => 'a');
    await adapter.upsert('a1', { uid: 'u' }, 60);
    await adapter.upsert('a1', { uid: 'u', result: {} }, 6000);
    now += 59;
    expect(await adapter.findByUid('u')).toMatchObject({ result: {} });
    now += 1;
    expect(await adapter.find('a1')).toBeUndefined();
    state.close();
  });
});
