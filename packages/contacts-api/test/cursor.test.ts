import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readCursor, writeCursor } from '../src/cursor.ts';
import { InvalidInput } from '../src/errors.ts';

describe('cursor', () => {
  test('comes back as it went', () => {
    const position = { name: 'Zoë "Z" \u{1f600}', id: '42' };
    expect(readCursor(writeCursor(position))).toEqual(position);
  });

  test('whatever else a caller sends is refused by name, and is never a 5xx', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 3000 }), (text) => {
        expect(() => readCursor(text)).toThrow(InvalidInput);
      }),
    );
    for (const value of [1, null, [], ['a'], ['a', 1], { name: 'a', id: 'b' }, ['a\0', 'b']]) {
      const cursor = Buffer.from(JSON.stringify(value)).toString('base64url');
      expect(() => readCursor(cursor)).toThrow(
        expect.objectContaining({
          status: 400,
          errors: [expect.objectContaining({ field: 'cursor' })],
        }),
      );
    }
  });
});
