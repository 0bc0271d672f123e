import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  changeMetadata,
  changeTransactionMetadata,
  NO_CHANGES,
  type TransactionMetadata,
  UserMetadata,
} from '../../src/actions/metadata.ts';
import type { User } from '../../src/index.ts';
import { openStateStore, type StateStore } from '../../src/state/file.ts';
import { demoTenantFile, loadTenant } from '../../src/tenant/load.ts';

const alice = {
  ...(loadTenant(demoTenantFile).users[0] as User),
  app_metadata: { org_id: 'acme', plan: 'silver' },
  user_metadata: { hobby: 'chess' },
};
describe("a user's metadata", () => {
  let store: StateStore;
  beforeEach(() => {
    store = openStateStore('memory:');
  });
  afterEach(() => store.close());

  test('changes override the values of the tenant file; null removes one', () => {
    const metadata = new UserMetadata(store);
    expect(metadata.applyTo(alice)).toEqual(alice);
    const first = changeMetadata(NO_CHANGES, 'app_metadata', 'plan', { name: 'gold' });
    metadata.store(alice.user_id, changeMetadata(first, 'user_metadata', 'hobby', null));
    metadata.store(alice.user_id, changeMetadata(NO_CHANGES, 'app_metadata', 'visits', 1));
    metadata.store(alice.user_id, NO_CHANGES);
    expect(new UserMetadata(store).applyTo(alice)).toEqual({
      ...alice,
      app_metadata: { org_id: 'acme', plan: { name: 'gold' }, visits: 1 },
      user_metadata: {},
    });
    const other = { ...alice, user_id: 'auth0|other' };
    expect(metadata.applyTo(other)).toEqual(other);
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
});

describe('metadata of a transaction', () => {
  test('texts, numbers and booleans are stored; null removes one', () => {
    let metadata: TransactionMetadata = {};
    for (const [key, value] of Object.entries({ a: 'x', b: 1.5, c: false, d: 'y' })) {
      metadata = changeTransactionMetadata(metadata, key, value);
    }
    expect(changeTransactionMetadata(metadata, 'd', null)).toEqual({ a: 'x', b: 1.5, c: false });
  });

  test.each<[string, unknown, unknown, string]>([
    ['an object', 'a', {}, '"a" is a object: give a text, number or boolean'],
    ['a number that JSON has not', 'a', Number.NaN, '"a" is a number'],
    ['no key', '', 'x', 'the key must be a text'],
    ['the prototype', '__proto__', 'x', 'the key must be a text'],
    ['16 kB', 'a', 'x'.repeat(16_384), 'all metadata has at most 16384 bytes'],
  ])('%s is refused, and nothing is written', (_name, key, value, message) => {
    const metadata: TransactionMetadata = { kept: 1 };
    expect(() => changeTransactionMetadata(metadata, key, value)).toThrow(
      `api.transaction.setMetadata: ${message}`,
    );
    expect(metadata).toEqual({ kept: 1 });
  });
});
