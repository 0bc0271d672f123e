import { describe, expect, test } from '@jest/globals';
import { applyPatch, type Contact, ContactInput, ContactPatch } from '../src/contact.ts';
import { ApiError } from '../src/errors.ts';
import { readInput } from '../src/http/router.ts';

const parseContactInput = (body: unknown) => readInput(ContactInput, body, 422);

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
    ['an empty name', { ...good, name: ' ' }, ['name']],
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

  test('says that a missing field is required', () => {
    expect(() => parseContactInput({})).toThrow(
      expect.objectContaining({
        errors: expect.arrayContaining([{ field: 'name', message: 'is required' }]),
      }),
    );
  });
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
