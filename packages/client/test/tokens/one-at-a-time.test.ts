import { expect, test } from '@jest/globals';
import { createOneAtATime } from '../../src/tokens/one-at-a-time.ts';

const tick = () => new Promise((resolve) => setTimeout(resolve, 2));

test('works of one name run in turn, those of another beside them', async () => {
  const oneAtATime = createOneAtATime<string>();
  const events: string[] = [];
  const work = (name: string, what: string) =>
    oneAtATime(name, what, async () => {
      events.push(`${name}${what} begins`);
      await tick();
      events.push(`${name}${what} ends`);
      return name + what;
    });
  const results = await Promise.all([work('a', '1'), work('a', '2'), work('b', '1')]);
  expect(results).toEqual(['a1', 'a2', 'b1']);
  expect(events.filter((event) => event.startsWith('a'))).toEqual([
    'a1 begins',
    'a1 ends',
    'a2 begins',
    'a2 ends',
  ]);
  expect(events.slice(0, 2)).toEqual(['a1 begins', 'b1 begins']);
});

test('the same work is done once while it waits or runs, and again after that', async () => {
  const oneAtATime = createOneAtATime<number>();
  let runs = 0;
  const work = (what: string) =>
    oneAtATime('a', what, async () => {
      await tick();
      runs += 1;
      return runs;
    });
  expect(await Promise.all([work('1'), work('2'), work('1'), work('2')])).toEqual([1, 2, 1, 2]);
  expect(await work('1')).toBe(3);
});

test('a work that fails fails for all who share it, and stops no other', async () => {
  const oneAtATime = createOneAtATime<string>();
  const fail = () => oneAtATime('a', '1', () => Promise.reject(new Error('no')));
  const [one, other, next] = await Promise.allSettled([
    fail(),
    fail(),
    oneAtATime('a', '2', async () => 'yes'),
  ]);
  expect([one.status, other.status]).toEqual(['rejected', 'rejected']);
  expect(next).toEqual({ status: 'fulfilled', value: 'yes' });
});
