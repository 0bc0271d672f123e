import { expect, test } from '@jest/globals';
import { memoryStore } from '../../../src/session/stores/memory.ts';

const START = 1_700_000_000;

test('makes room by dropping what expires first, and its terms', async () => {
  const store = memoryStore({ now: () => START * 1000, maxSessions: 3 });
  for (const [key, seconds] of [
    ['a', 30],
    ['b', 10],
    ['c', 20],
    ['d', 40],
  ] as const) {
    const expiresAt = START + seconds;
    await store.create(key, { sealed: key, about: '', expiresAt, terms: ['user'] });
  }
  const kept = await Promise.all(['a', 'b', 'c', 'd'].map((key) => store.read(key)));
  expect(kept.map((session) => session?.sealed)).toEqual(['a', undefined, 'c', 'd']);
  expect((await store.list('user')).map(({ key }) => key)).toEqual(['a', 'c', 'd']);
});

test('lists a thousand at most, and goes on when those are gone', async () => {
  const store = memoryStore({ now: () => START * 1000 });
  const session = { sealed: '', about: '', expiresAt: START + 10, terms: ['user'] };
  for (let i = 0; i < 1500; i += 1) await store.create(`${i}`, session);
  const first = await store.list('user');
  expect(first).toHaveLength(1000);
  for (const { key } of first) await store.destroy(key);
  expect(await store.list('user')).toHaveLength(500);
});
