import { describe, expect, jest, test } from '@jest/globals';
import { storeCall } from '../../src/session/session-store.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';

describe('calls of a store', () => {
  test('what the store answers comes through', async () => {
    expect(await storeCall(async () => 5)).toBe(5);
  });

  test('a store that does not answer is a 503 after two seconds', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    const refused = expect(storeCall(() => new Promise(() => {}))).rejects.toMatchObject({
      code: 'ERR_SESSION_STORE',
      status: 503,
      detail: 'the session store failed: ETIMEDOUT',
    });
    await jest.advanceTimersByTimeAsync(2000);
    await refused;
    jest.useRealTimers();
  });

  test.each<[string, unknown, string]>([
    ['with a code', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), ': ECONNREFUSED'],
    ['with text for a code', Object.assign(new Error('x'), { code: 'of sesame' }), ''],
    ['without one', new Error('sesame'), ''],
    ['that is no error', 'sesame', ''],
  ])('its failure %s is a 503', async (_name, cause, told) => {
    await expect(storeCall(() => Promise.reject(cause))).rejects.toMatchObject({
      code: 'ERR_SESSION_STORE',
      status: 503,
      detail: `the session store failed${told}`,
      cause,
    });
  });
});

describe('the store in memory', () => {
  const START = 1_700_000_000;

  const session = { sealed: '', about: '', expiresAt: START + 10, startedAt: START, terms: [] };

  test('makes room by dropping what was unused for longest, and its terms', async () => {
    const store = memoryStore({ now: () => START * 1000, maxSessions: 3 });
    const terms = ['user'];
    for (const key of ['a', 'b', 'c']) await store.create(key, { ...session, terms });
    await store.read('a');
    await store.create('d', { ...session, terms });
    await store.touch('c', START + 20);
    await store.create('e', { ...session, terms });
    expect((await store.list('user')).map(({ key }) => key)).toEqual(['c', 'd', 'e']);
    expect(await store.read('a')).toBeUndefined();
  });

  test('what has expired makes room first', async () => {
    let now = START * 1000;
    const store = memoryStore({ now: () => now, monotonicNow: () => now, maxSessions: 2 });
    await store.create('a', { ...session, expiresAt: START + 100 });
    await store.create('b', session);
    now += 10_000;
    await store.create('c', { ...session, expiresAt: START + 100 });
    expect(await store.read('a')).toBeDefined();
  });

  test('the sign-ins of one user leave the sessions of others', async () => {
    const store = memoryStore({ now: () => START * 1000, maxSessions: 1000 });
    await store.create('victim', { ...session, terms: ['victim'] });
    for (let i = 0; i < 5000; i += 1) await store.create(`${i}`, { ...session, terms: ['user'] });
    expect(await store.list('user')).toHaveLength(100);
    expect(await store.read('victim')).toBeDefined();
  });

  test('keeps a bounded number of used values: the one that expires first goes', async () => {
    const store = memoryStore({ now: () => START * 1000 });
    await store.once('late', START + 20);
    await store.once('first', START + 9);
    for (let i = 0; i < 99_998; i += 1) await store.once(`${i}`, START + 10);
    expect(await store.once('first', START + 9)).toBe(false);
    expect(await store.once('new', START + 10)).toBe(true);
    expect(await store.once('late', START + 20)).toBe(false);
    expect(await store.once('0', START + 10)).toBe(false);
    expect(await store.once('first', START + 9)).toBe(true);
  });
});
