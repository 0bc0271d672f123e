import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readInput } from '../../src/http/router.ts';
import {
  checkPreconditions,
  entityTag,
  PageQuery,
  readCursor,
  writeCursor,
  writePage,
} from '../../src/routes/contacts.ts';

describe('routes of contacts', () => {
  const cursorFault = expect.objectContaining({
    status: 400,
    errors: [expect.objectContaining({ field: 'cursor' })],
  });

  describe('a cursor', () => {
    test('is read as it was written', () => {
      const position = { value: 'Zoë "Z" \u{1f600}', id: '42' };
      expect(readCursor('name', writeCursor('name', position))).toEqual(position);
      expect(readCursor('name', undefined)).toBeUndefined();
    });

    test('belongs to the sort that it was written for', () => {
      const cursor = writeCursor('name', { value: 'a', id: 'b' });
      expect(() => readCursor('-name', cursor)).toThrow(cursorFault);
    });

    test('of any other form is rejected with the name of the field', () => {
      fc.assert(
        fc.property(fc.string({ maxLength: 3000 }), (text) => {
          expect(() => readCursor('name', text)).toThrow(cursorFault);
        }),
      );
      for (const value of [
        1,
        null,
        [],
        ['name'],
        ['name', 'a', 1],
        ['name', 'a', 'b', 'c'],
        { value: 'a', id: 'b' },
        ['name', 'a\0', 'b'],
        ['name', 'a\ud800', 'b'],
      ]) {
        const cursor = Buffer.from(JSON.stringify(value)).toString('base64url');
        expect(() => readCursor('name', cursor)).toThrow(cursorFault);
      }
    });
  });

  describe('the query of a list', () => {
    test('has a default limit of fifty', () => {
      expect(readInput(PageQuery, {}, 400)).toEqual({ limit: 50 });
      expect(readInput(PageQuery, { limit: '100', cursor: 'x' }, 400)).toEqual({
        limit: 100,
        cursor: 'x',
      });
    });

    test.each<[Record<string, unknown>, string]>([
      [{ limit: '0' }, 'limit'],
      [{ limit: '101' }, 'limit'],
      [{ limit: '1e1' }, 'limit'],
      [{ limit: ' 1' }, 'limit'],
      [{ limit: '' }, 'limit'],
      [{ limit: ['1', '2'] }, 'limit'],
      [{ cursor: ['a', 'b'] }, 'cursor'],
      [{ cursor: 'x'.repeat(2001) }, 'cursor'],
      [{ page: '2' }, 'page'],
    ])('%j is rejected with the name of the field', (query, field) => {
      expect(() => readInput(PageQuery, query, 400)).toThrow(
        expect.objectContaining({ status: 400, errors: [expect.objectContaining({ field })] }),
      );
    });
  });

  describe('a page', () => {
    const url = { path: '/contacts', querystring: 'q=%22%3E&limit=1' };

    test('links to the next page with the same query (RFC 8288)', () => {
      const { body, link } = writePage({ items: [1], next: { value: 'v', id: 'i' } }, 'name', url);
      expect(body).toEqual({ items: [1], next: expect.any(String) });
      expect(link).toBe(`</contacts?q=%22%3E&limit=1&cursor=${body.next}>; rel="next"`);
    });

    test('has no link when it is the last one', () => {
      expect(writePage({ items: [], next: undefined }, 'name', url)).toEqual({
        body: { items: [], next: null },
        link: undefined,
      });
    });
  });
});

describe('preconditions', () => {
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
});
