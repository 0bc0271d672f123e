import { expect, test } from '@jest/globals';
import { reached } from '../../src/session/reached.ts';

test('what the store answers comes through', async () => {
  expect(await reached(async () => 5)).toBe(5);
});

test.each<[string, unknown, string]>([
  ['with a code', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), ': ECONNREFUSED'],
  ['with text for a code', Object.assign(new Error('x'), { code: 'of sesame' }), ''],
  ['without one', new Error('sesame'), ''],
  ['that is no error', 'sesame', ''],
])('its failure %s is a 503', async (_name, cause, told) => {
  await expect(reached(() => Promise.reject(cause))).rejects.toMatchObject({
    code: 'ERR_SESSION_STORE',
    status: 503,
    detail: `the session store failed${told}`,
    cause,
  });
});
