import { expect, test } from '@jest/globals';
import { calculateJwkThumbprint } from 'jose';
import { proves } from '../../../../test/support/proves.ts';
import { makeSigningKey, memoryKey, signingKeysSchema } from '../../src/keys/signing-keys.ts';

test('a new key is for RS256, unique, and named by its thumbprint', async () => {
  proves('RFC 9068 §2.1');
  const [one, two] = await Promise.all([makeSigningKey(), makeSigningKey()]);
  expect(one).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig' });
  expect(one.kid).toBe(await calculateJwkThumbprint(one));
  expect(one.kid).not.toBe(two.kid);
  expect(signingKeysSchema.parse({ keys: [one, two] })).toEqual({ keys: [one, two] });
});

test('a key in memory is created once, also for simultaneous calls', async () => {
  const [one, same, other] = await Promise.all([memoryKey(0), memoryKey(0), memoryKey(1)]);
  expect(same).toBe(one);
  expect(other.kid).not.toBe(one.kid);
  expect(await memoryKey(0)).toBe(one);
});
