import { expect, test } from '@jest/globals';
import { checkPreconditions, entityTag } from '../../src/routes/contacts.ts';

const contact = { version: 12 };

test('an entity tag is strong and differs for each version (RFC 9110 §8.8.3)', () => {
  expect(entityTag(contact)).toBe('"12"');
  expect(entityTag({ version: 13 })).not.toBe(entityTag(contact));
});

test.each(['*', ' * ', '"12"', '"11", "12"', '"11","12"'])('If-Match %p matches', (ifMatch) => {
  expect(() => checkPreconditions({ 'if-match': ifMatch }, contact)).not.toThrow();
});

const failed = expect.objectContaining({ status: 412, code: 'ERR_PRECONDITION_FAILED' });

test.each(['', '"1"', '12', 'W/"12"', '"12', '"1", "2"', ',', '"*"', '\u0000'])(
  'If-Match %p does not match and gives 412',
  (ifMatch) => {
    expect(() => checkPreconditions({ 'if-match': ifMatch }, contact)).toThrow(failed);
  },
);

test('If-None-Match gives 412 for a state that it names (RFC 9110 §13.1.2)', () => {
  for (const noneMatch of ['*', '"12"', '"1", "12"']) {
    expect(() => checkPreconditions({ 'if-none-match': noneMatch }, contact)).toThrow(failed);
  }
  expect(() => checkPreconditions({ 'if-none-match': '"11"' }, contact)).not.toThrow();
  expect(() => checkPreconditions({}, contact)).not.toThrow();
});
