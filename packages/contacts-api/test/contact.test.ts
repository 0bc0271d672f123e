import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import {
  applyPatch,
  type Contact,
  ContactInput,
  ContactPatch,
  ContactSort,
  SearchText,
} from '../src/contact.ts';
import { ApiError } from '../src/errors.ts';
import { readInput } from '../src/http/router.ts';
import { PageQuery } from '../src/routes/contacts.ts';

const parseContactInput = (body: unknown) => readInput(ContactInput, body, 422);

const ONCE = 'must be given once';
const good = { name: 'Ada Lovelace', email: 'ada@example.com' };

function faultsOf(body: unknown): string[] {
  try {
    parseContactInput(body);
    return [];
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    expect(error.status).toBe(422);
    expect(error.code).toBe('ERR_INVALID_INPUT');
    return (error.errors ?? []).map(({ field }) => field);
  }
}

describe('contact input', () => {
  test('accepts good members and trims them', () => {
    expect(parseContactInput({ ...good, name: '  Ada ', phone: '', notes: 'two\nlines' })).toEqual({
      name: 'Ada',
      email: 'ada@example.com',
      phone: '',
      notes: 'two\nlines',
    });
  });

  test.each<[string, unknown, string[]]>([
    ['an empty object', {}, ['name', 'email']],
    ['no object', 'x', ['body']],
    ['nothing', undefined, ['body']],
    ['a list', [good], ['body']],
    ...[
      ...[' ', '\u200b', '\u3164', '\u00ad', '\u2800', '\u115f\uffa0', '\u200b \ufeff\u034f'],
      ...['\u2060', '\ufe0f', '\u180e', '\u{e0001}\u{e0020}', '\u{1d159}', '\u2003\u200d'],
    ].map((name): [string, unknown, string[]] => [
      `an empty name ${encodeURIComponent(name)}`,
      { ...good, name },
      ['name'],
    ]),
    ...[
      ...['ada@', '@example.com', 'a b@example.com', '.a@example.com', 'a..b@example.com'],
      ...['a.@example.com', 'a@-example.com', 'a@example-.com', 'a@example', 'a@example.c'],
      ...['a@exa mple.com', 'a@b@example.com', 'a@127.0.0.1', 'a@[127.0.0.1]', '"a"@example.com'],
      ...['a@example..com', 'a@.example.com', 'a\u200b@example.com', 'a\u3164@example.com'],
      ...['a@exam\u200bple.com', 'a\u00a0@example.com', 'a\u2028@example.com', 'a@ex_ample.com'],
      ...['Ada <a@example.com>', 'a@example.com, b@example.com', 'a@\u0301b.example'],
    ].map((email): [string, unknown, string[]] => [
      `the address ${encodeURIComponent(email)}`,
      { ...good, email },
      ['email'],
    ]),
    ['a long name', { ...good, name: 'x'.repeat(201) }, ['name']],
    ['no e-mail address', { ...good, email: 'ada' }, ['email']],
    ['numbers', { name: 1, email: 2 }, ['name', 'email']],
    ['null', { ...good, phone: null }, ['phone']],
    ['unknown fields', { ...good, organisation: 'globex', id: '1' }, ['organisation', 'id']],
    [
      'control characters',
      { ...good, name: 'a\u0000b', company: 'c\u001b[2J' },
      ['name', 'company'],
    ],
    ['marks that reverse the reading direction', { ...good, name: 'a\u202eb' }, ['name']],
    ['a bell in the notes', { ...good, notes: 'ding\u0007' }, ['notes']],
    ['half a surrogate pair', { ...good, name: 'a\ud800', notes: '\udc00' }, ['name', 'notes']],
    ['long notes', { ...good, notes: 'x'.repeat(5001) }, ['notes']],
    [
      'prototype names',
      JSON.parse('{"__proto__":{"name":"x"},"constructor":1}'),
      ['name', 'email', '__proto__', 'constructor'],
    ],
  ])('names the wrong fields of %s', (_, body, fields) => {
    expect(faultsOf(body)).toEqual(expect.arrayContaining(fields));
  });

  test.each([
    ...[
      'josé@example.com',
      'info@münchen.example',
      'user@xn--mnchen-3ya.example',
      'δοκιμή@δοκιμή.gr',
    ],
    ...[
      '用户@例子.公司',
      'मेल@डाटामेल.भारत',
      'почта@пример.рф',
      'a@b.xn--p1ai',
      'テスト@例え.テスト',
    ],
    ...[
      "o'brien+news@example.co.uk",
      'R&D=x@example.com',
      'i❤@example.com',
      'jose\u0301@example.com',
    ],
  ])('accepts the address %s (RFC 6531 §3.3)', (email) => {
    expect(parseContactInput({ ...good, email })).toEqual({ ...good, email });
  });

  test.each(['李', '\u200bAda', 'न\u200d', '👩\u200d💻', '؀', '.'])(
    'accepts the name %s',
    (name) => {
      expect(faultsOf({ ...good, name })).toEqual([]);
    },
  );
});

describe('a merge patch (RFC 7396)', () => {
  const current: Contact = {
    id: '00000000-0000-4000-8000-000000000000',
    name: 'Ada',
    email: 'ada@example.com',
    phone: '1',
    notes: 'n',
    version: 3,
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
  };

  test.each<[object, object]>([
    [{}, { name: 'Ada', email: 'ada@example.com', phone: '1', notes: 'n' }],
    [{ name: 'B' }, { name: 'B', email: 'ada@example.com', phone: '1', notes: 'n' }],
    [
      { phone: null, notes: null },
      { name: 'Ada', email: 'ada@example.com' },
    ],
    [
      { company: 'C' },
      { name: 'Ada', email: 'ada@example.com', phone: '1', notes: 'n', company: 'C' },
    ],
  ])('%j is applied', (patch, expected) => {
    const { phone, company, notes, ...rest } = applyPatch(
      current,
      readInput(ContactPatch, patch, 422),
    );
    expect(JSON.parse(JSON.stringify({ ...rest, phone, company, notes }))).toEqual(expected);
  });

  test.each([[{ name: null }], [{ email: null }], [{ version: 9 }], [{ id: 'x' }], [[]], [null]])(
    '%j is rejected',
    (patch) => {
      expect(() => readInput(ContactPatch, patch, 422)).toThrow(
        expect.objectContaining({ status: 422, code: 'ERR_INVALID_INPUT' }),
      );
    },
  );
});

describe('a message', () => {
  test.each<[z.ZodType, unknown, 400 | 422, string, string]>([
    [ContactInput, { email: good.email }, 422, 'name', 'is required'],
    [ContactInput, { ...good, name: undefined }, 422, 'name', 'is required'],
    [ContactInput, { ...good, name: 5 }, 422, 'name', 'must be a string'],
    [ContactInput, { ...good, name: ['Ada', 'Ada'] }, 422, 'name', 'must be a string'],
    [ContactInput, { ...good, phone: null }, 422, 'phone', 'must be a string'],
    [ContactInput, { ...good, name: '\u200b' }, 422, 'name', 'must not be empty'],
    [ContactInput, [], 422, 'body', 'must be an object'],
    [ContactInput, null, 422, 'body', 'must be an object'],
    [ContactInput, undefined, 422, 'body', 'is required'],
    [ContactPatch, { phone: 5 }, 422, 'phone', 'must be a string'],
    [ContactPatch, { name: null }, 422, 'name', 'must be a string'],
    [ContactPatch, { notes: {} }, 422, 'notes', 'must be a string'],
    [z.strictObject({ sort: ContactSort }), { sort: ['name', 'name'] }, 400, 'sort', ONCE],
    [z.strictObject({ q: SearchText.optional() }), { q: ['a', 'b'] }, 400, 'q', ONCE],
    [PageQuery, { limit: ['1', '2'] }, 400, 'limit', ONCE],
    [PageQuery, { cursor: ['a', 'b'] }, 400, 'cursor', ONCE],
  ])('%# names what is wrong with %s', (schema, input, status, field, message) => {
    const errors = [{ field, message }];
    expect(() => readInput(schema, input, status)).toThrow(expect.objectContaining({ errors }));
  });
});
