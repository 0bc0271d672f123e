import { describe, expect, test } from '@jest/globals';
import { ApiError } from '@koa-oauth/client';
import { refusalOf } from '../../src/contacts/contacts-api.ts';

const refused = (status: number, body: unknown) =>
  new ApiError('ERR_API_REFUSED', { response: { status, headers: {}, body } });

describe('what the API says of the input', () => {
  test('the first message for each field that the form has, the rest apart', () => {
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
    'a body that explains nothing (%j) is a refusal all the same',
    (body) => {
      const refusal = refusalOf(refused(400, body));
      expect(refusal?.fields).toEqual({});
      expect(refusal?.other).toHaveLength(1);
    },
  );

  test.each([refused(403, {}), new ApiError('ERR_API_UNAVAILABLE', {}), new Error('other')])(
    'other errors say nothing of it',
    (error) => {
      expect(refusalOf(error)).toBeUndefined();
    },
  );
});
