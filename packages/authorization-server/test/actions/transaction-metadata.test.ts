import { expect, test } from '@jest/globals';
import {
  type TransactionMetadata,
  writeTransactionMetadata,
} from '../../src/actions/transaction-metadata.ts';

test('texts, numbers and booleans are kept; null takes one away', () => {
  const metadata: TransactionMetadata = {};
  for (const [key, value] of Object.entries({ a: 'x', b: 1.5, c: false, d: 'y' })) {
    writeTransactionMetadata(metadata, key, value);
  }
  writeTransactionMetadata(metadata, 'd', null);
  expect(metadata).toEqual({ a: 'x', b: 1.5, c: false });
});

test.each<[string, unknown, unknown, string]>([
  ['an object', 'a', {}, '"a" is a object: give a text, number or boolean'],
  ['a number that JSON has not', 'a', Number.NaN, '"a" is a number'],
  ['no key', '', 'x', 'the key must be a text'],
  ['the prototype', '__proto__', 'x', 'the key must be a text'],
  ['16 kB', 'a', 'x'.repeat(16_384), 'all metadata has at most 16384 bytes'],
])('%s is refused, and nothing is written', (_name, key, value, message) => {
  const metadata: TransactionMetadata = { kept: 1 };
  expect(() => writeTransactionMetadata(metadata, key, value)).toThrow(
    `api.transaction.setMetadata: ${message}`,
  );
  expect(metadata).toEqual({ kept: 1 });
});
