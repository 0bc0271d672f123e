import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { runAs, runningSource } from '../../src/actions/running-source.ts';
import { actionOf } from '../support/demo-server.ts';

test('what an Action begins is known as its, whatever runs beside it, and what comes after is not', async () => {
  const [one, two] = [actionOf('', 'one'), actionOf('', 'two')];
  const seen = (): Promise<unknown[]> =>
    Promise.all([
      runningSource(),
      wait(2).then(runningSource),
      new Promise((resolve) => setTimeout(() => resolve(runningSource()), 1)),
    ]);
  const both = await Promise.all([runAs(one, seen), runAs(two, seen)]);
  expect(both).toEqual([Array(3).fill(one), Array(3).fill(two)]);
  expect(runningSource()).toBeUndefined();
});
