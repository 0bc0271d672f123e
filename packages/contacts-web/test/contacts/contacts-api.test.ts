import { describe, expect, test } from '@jest/globals';
import { ApiError } from '@koa-oauth/client';
import { ContactInput } from '../../../contacts-api/src/contact.ts';
import { makeDraft, refusalOf } from '../../src/contacts/contacts-api.ts';

const refused = (status: number, body: unknown) =>
  new ApiError('ERR_API_REFUSED', { response: { status, headers: {}, body } });

test('a draft has each field of the API, and no other', () => {
  const draft: Readonly<Record<keyof ContactInput, string>> = makeDraft((name) => name);
  expect(Object.keys(draft)).toEqual(Object.keys(ContactInput.shape));
});

describe('refusalOf', () => {
  test('returns the first message for each field of the form, and others apart', () => {
    const errors = [
      { field: 'name', message: 'is required' },
      { field: 'name', message: 'second' },
      { field: 'constructor', message: 'is not a field' },
    ];
    expect(refusalOf(refused(422, { errors }))).toEqual({
      fields: { name: 'is required' },
      other: ['The field constructor is not a field.'],
    });
  });

  test.each([null, 'text', {}, { errors: 'x' }, { errors: [{ field: 1 }] }])(
    'returns a refusal for a body without messages: %j',
    (body) => {
      const refusal = refusalOf(refused(400, body));
      expect(refusal?.fields).toEqual({});
      expect(refusal?.other).toHaveLength(1);
    },
  );

  test.each([refused(403, {}), new ApiError('ERR_API_UNAVAILABLE', {}), new Error('other')])(
    'returns undefined for other errors',
    (error) => {
      expect(refusalOf(error)).toBeUndefined();
    },
  );
});
