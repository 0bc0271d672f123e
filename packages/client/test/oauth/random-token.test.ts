import { expect, test } from '@jest/globals';
import { randomToken } from '../../src/oauth/random-token.ts';

test('G3, V7.2.3: is 256 bits in base64url, another each time', () => {
  expect(randomToken()).toMatch(/^[\w-]{43}$/);
  expect(randomToken()).not.toBe(randomToken());
});
