import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { changeMetadata, createUserMetadata, NO_CHANGES } from '../../src/actions/user-metadata.ts';
import type { User } from '../../src/index.ts';
import { openStateStore, type StateStore } from '../../src/state/file.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';

const alice = {
  ...(loadTenant(demoTenantFile).users[0] as User),
  app_metadata: { org_id: 'acme', plan: 'silver' },
  user_metadata: { hobby: 'chess' },
};
let store: StateStore;
beforeEach(() => {
  store = openStateStore('memory:');
});
afterEach(() => store.close());

test('changes lie over the values of the tenant file; null takes one away', () => {
  const metadata = createUserMetadata(store);
  expect(metadata.of(alice)).toEqual(alice);
  const first = changeMetadata(NO_CHANGES, 'app_metadata', 'plan', { name: 'gold' });
  metadata.keep(alice.user_id, changeMetadata(first, 'user_metadata', 'hobby', null));
  metadata.keep(alice.user_id, changeMetadata(NO_CHANGES, 'app_metadata', 'visits', 1));
  metadata.keep(alice.user_id, NO_CHANGES);
  expect(createUserMetadata(store).of(alice)).toEqual({
    ...alice,
    app_metadata: { org_id: 'acme', plan: { name: 'gold' }, visits: 1 },
    user_metadata: {},
  });
  const other = { ...alice, user_id: 'auth0|other' };
  expect(metadata.of(other)).toEqual(other);
});

test.each<[string, unknown, unknown, string]>([
  ['no name', '', 1, 'app_metadata: the name of a property must be a text'],
  ['a number as name', 7, 1, 'app_metadata: the name of a property must be a text'],
  ['the prototype', '__proto__', {}, 'app_metadata: the name of a property must be a text'],
  ['a function', 'a', () => {}, 'app_metadata: "a" is a function, not JSON'],
  ['a symbol', 'a', Symbol('x'), 'app_metadata: "a" is a symbol, not JSON'],
])('%s is refused', (_name, name, value, message) => {
  expect(() => changeMetadata(NO_CHANGES, 'app_metadata', name, value)).toThrow(message);
});
