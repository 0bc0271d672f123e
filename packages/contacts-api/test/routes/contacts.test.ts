import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ContactInput } from '../../src/contact.ts';
import { readInput } from '../../src/http/router.ts';
import {
  entityTag,
  evaluateConditions,
  PageQuery,
  readCursor,
  writeCursor,
  writePage,
} from '../../src/routes/contacts.ts';
import { searchText } from '../../src/store/search-text.ts';

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

    test('after the longest texts of a contact is accepted', () => {
      const [name, company] = ['李'.repeat(200), '龙'.repeat(200)];
      const email = `${'李'.repeat(246)}@例子.公司`;
      expect(ContactInput.safeParse({ name, email, company }).success).toBe(true);
      const value = searchText(name, email, company);
      const cursor = writeCursor('-name', { value, id: randomUUID() });
      expect(readInput(PageQuery, { cursor }, 400)).toMatchObject({ cursor });
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
      [{ cursor: 'x'.repeat(2501) }, 'cursor'],
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

  const evaluate = (method: string, headers: IncomingHttpHeaders) => () =>
    evaluateConditions({ method, headers }, contact);
  const failed = expect.objectContaining({ status: 412, code: 'ERR_PRECONDITION_FAILED' });
  const METHODS = ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'];
  const NAMING = [
    '*',
    ' * ',
    '"12"',
    '"11", "12"',
    '"11","12"',
    'W/"12"',
    '"1,2", W/"12"',
    '"1,","12"',
  ];
  const OTHER = ['', '"1"', '12', 'w/"12"', '"12', '"1", "2"', ',', '"*"', '\u0000', '"1,"'];

  test.each(METHODS)('If-Match of a %s must name the state (RFC 9110 §13.1.1)', (method) => {
    for (const tags of NAMING) expect(evaluate(method, { 'if-match': tags })()).toBe(false);
    for (const tags of OTHER) expect(evaluate(method, { 'if-match': tags })).toThrow(failed);
  });

  test.each(METHODS)('If-None-Match of a %s must name another (RFC 9110 §13.1.2)', (method) => {
    for (const tags of OTHER) expect(evaluate(method, { 'if-none-match': tags })()).toBe(false);
    for (const tags of NAMING) {
      const evaluated = evaluate(method, { 'if-none-match': tags });
      if (method === 'GET' || method === 'HEAD') expect(evaluated()).toBe(true);
      else expect(evaluated).toThrow(failed);
    }
  });

  test('If-Match comes first (RFC 9110 §13.2.2)', () => {
    const both = (match: string) => ({ 'if-match': match, 'if-none-match': '"12"' });
    expect(evaluate('GET', both('"1"'))).toThrow(failed);
    expect(evaluate('GET', both('"12"'))()).toBe(true);
  });

  test('dates and the Cache-Control of a request change nothing', () => {
    const long = 'Sat, 01 Jan 2000 00:00:00 GMT';
    const headers = { 'if-modified-since': long, 'if-unmodified-since': long };
    expect(evaluate('GET', headers)()).toBe(false);
    expect(evaluate('PUT', headers)()).toBe(false);
    const fetched = { ...headers, 'cache-control': 'no-cache', 'if-none-match': '"12"' };
    expect(evaluate('GET', fetched)()).toBe(true);
  });
});
