import { expect, test } from '@jest/globals';
import { checkIfMatch, entityTag } from '../src/preconditions.ts';

const contact = { version: 12 };

test('an entity tag is strong, and another one for each version (RFC 9110 §8.8.3)', () => {
  expect(entityTag(contact)).toBe('"12"');
  expect(entityTag({ version: 13 })).not.toBe(entityTag(contact));
});

test.each(['', '*', ' * ', '"12"', '"11", "12"', '"11","12"'])('If-Match %p fits', (ifMatch) => {
  expect(() => checkIfMatch(ifMatch, contact)).not.toThrow();
});

test.each(['"1"', '12', 'W/"12"', '"12', '"1", "2"', ',', '"*"', '\u0000'])(
  'If-Match %p does not: 412',
  (ifMatch) => {
    expect(() => checkIfMatch(ifMatch, contact)).toThrow(
      expect.objectContaining({ status: 412, code: 'ERR_PRECONDITION_FAILED' }),
    );
  },
);
