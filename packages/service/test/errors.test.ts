import { describe, expect, test } from '@jest/globals';
import { describeError } from '../src/errors.ts';

describe('what the log holds of an error', () => {
  test('is its type, message, stack, code and cause', () => {
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
    ['what a broken request carried', { rawPacket: Buffer.from('Cookie: session=s3cr3t') }],
    ['an address that could not be read', { input: '/callback?code=s3cr3t' }],
    ['the request of an HTTP client', { options: { headers: { authorization: 's3cr3t' } } }],
    ['a code that is no code', { code: { secret: 's3cr3t' } }],
    ['a cause that is no error', { cause: 's3cr3t' }],
    ['errors inside', { errors: [new Error('s3cr3t')] }],
  ])('is not %s', (_name, fields) => {
    const described = JSON.stringify(describeError(Object.assign(new Error('broken'), fields)));
    expect(described).not.toContain('s3cr3t');
    expect(described).not.toContain(String([...Buffer.from('s3cr3t')]));
  });

  test.each(['text', 1, null, undefined, { message: 'x' }])('%j is told by its kind', (thrown) => {
    expect(describeError(thrown)).toEqual({ type: typeof thrown });
  });

  test('is that of a DOMException too', () => {
    expect(describeError(new DOMException('took too long', 'TimeoutError'))).toMatchObject({
      type: 'TimeoutError',
      message: 'took too long',
    });
  });

  test('is bounded', () => {
    const error = new Error('x'.repeat(100_000), { cause: new Error('y'.repeat(100_000)) });
    expect(JSON.stringify(describeError(error)).length).toBeLessThan(6000);
  });
});
