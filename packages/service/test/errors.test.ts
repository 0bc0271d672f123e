import { describe, expect, test } from '@jest/globals';
import { describeError } from '../src/errors.ts';

describe('describeError', () => {
  test('returns type, message, stack, code and cause', () => {
    const cause = Object.assign(new RangeError('the reason'), { options: { secret: 's3cr3t' } });
    const error = Object.assign(new TypeError('what happened', { cause }), { code: 'ERR_X' });
    expect(describeError(error)).toEqual({
      type: 'TypeError',
      message: 'what happened',
      code: 'ERR_X',
      stack: expect.stringMatching(/^TypeError: what happened\n {4}at /),
      cause: 'RangeError: the reason',
    });
  });

  test.each([
    ['the raw bytes of a malformed request', { rawPacket: Buffer.from('Cookie: session=s3cr3t') }],
    ['a malformed URL', { input: '/callback?code=s3cr3t' }],
    ['the request of an HTTP client', { options: { headers: { authorization: 's3cr3t' } } }],
    ['a code that is not a string', { code: { secret: 's3cr3t' } }],
    ['a cause that is not an error', { cause: 's3cr3t' }],
    ['inner errors', { errors: [new Error('s3cr3t')] }],
  ])('leaves out %s', (_name, fields) => {
    const described = JSON.stringify(describeError(Object.assign(new Error('broken'), fields)));
    expect(described).not.toContain('s3cr3t');
    expect(described).not.toContain(String([...Buffer.from('s3cr3t')]));
  });

  test.each(['text', 1, null, undefined, { message: 'x' }])(
    'returns only the type of %j',
    (thrown) => {
      expect(describeError(thrown)).toEqual({ type: typeof thrown });
    },
  );

  test('describes a DOMException too', () => {
    expect(describeError(new DOMException('took too long', 'TimeoutError'))).toMatchObject({
      type: 'TimeoutError',
      message: 'took too long',
    });
  });

  // The errors of the libraries that refuse a request are made so: to capture a stack takes long.
  test('describes an error without a stack too, and one as the cause', () => {
    const error = Object.assign(Object.create(Error.prototype), {
      name: 'AuthError',
      message: 'what happened',
      code: 'ERR_X',
    });
    expect(describeError(error)).toMatchObject({ type: 'AuthError', message: 'what happened' });
    expect(describeError(new Error('outer', { cause: error }))).toMatchObject({
      cause: 'AuthError: what happened',
    });
  });

  test('has a bounded length', () => {
    const error = new Error('x'.repeat(100_000), { cause: new Error('y'.repeat(100_000)) });
    expect(JSON.stringify(describeError(error)).length).toBeLessThan(6000);
  });
});
