import { describe, expect, test } from '@jest/globals';
import { describeError } from '../src/logger.ts';

describe('an error in the log', () => {
  test('keeps its kind, code, message and stack, and nothing else', () => {
    const error = Object.assign(new TypeError('no'), {
      code: 'E1',
      rawPacket: Buffer.from('SECRET'),
    });
    expect(describeError(error)).toEqual({
      type: 'TypeError',
      code: 'E1',
      message: 'no',
      stack: expect.stringContaining('logger.test.ts'),
    });
  });

  test.each([[null], [undefined], ['text'], [42], [{}]])('takes %p', (thrown) => {
    expect(typeof describeError(thrown)).toBe('object');
  });

  test('is bounded', () => {
    const { message } = describeError(new Error('x'.repeat(10_000)));
    expect(message).toHaveLength(500);
  });
});
