import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from '@jest/globals';

const PROCESSES = 3;
const TIMES = 15;

/**
 * Lets several processes count in one session, each under its lease, and judges the sum.
 *
 * @param module of the built store
 * @param make the call of the module's function that makes it
 */
export async function countTogether(module: string, make: string): Promise<void> {
  const script = `
    import * as stores from ${JSON.stringify(module)};
    import { setTimeout as sleep } from 'node:timers/promises';
    const store = stores.${make};
    const expiresAt = Math.floor(Date.now() / 1000) + 600;
    const session = { sealed: '0', about: '', expiresAt, startedAt: expiresAt, terms: ['t'] };
    await store.create('count', session).catch((error) => {
      if (!/exists already/.test(error.message)) throw error;
    });
    const fences = [];
    let first = 0;
    while (fences.length < ${TIMES}) {
      const fence = await store.acquire('count', 20_000);
      if (fence === undefined) { await sleep(Math.random() * 4); continue; }
      const { sealed, version } = await store.read('count');
      await sleep(Math.random() * 2);
      const next = String(Number(sealed) + 1);
      if (!(await store.update('count', version, { sealed: next, expiresAt }, fence))) throw new Error('lost');
      await store.release('count', fence);
      fences.push(fence);
      if (await store.once('value-' + fences.length, expiresAt)) first += 1;
    }
    console.log(JSON.stringify({ fences, first, last: (await store.read('count')).version }));
    await store.close();
  `;
  const outputs = await Promise.all(
    Array.from({ length: PROCESSES }, () =>
      promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]),
    ),
  );
  const results = outputs.map(({ stdout }) => JSON.parse(stdout)) as {
    fences: number[];
    first: number;
    last: number;
  }[];
  const fences = results.flatMap((result) => result.fences);
  expect(new Set(fences).size).toBe(PROCESSES * TIMES);
  expect(Math.max(...results.map(({ last }) => last))).toBe(1 + PROCESSES * TIMES);
  expect(results.reduce((sum, { first }) => sum + first, 0)).toBe(TIMES);
}
