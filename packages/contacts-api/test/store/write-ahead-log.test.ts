import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const ROUNDS = 25;
const GAP = 40;

// Each process opens the same new file at the same time, again and again.
const program = `
  const [database, folder, begin] = process.argv.slice(1);
  const { migrate } = await import(database);
  for (let round = 0; round < ${ROUNDS}; round += 1) {
    while (Date.now() < Number(begin) + round * ${GAP}) await new Promise(setImmediate);
    await migrate('file:' + folder + '/' + round + '.db');
  }
`;

test('processes that open a new file at the same moment wait for each other', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'contacts-wal-'));
  try {
    const database = new URL('../../dist/store/database.js', import.meta.url).href;
    const begin = String(Date.now() + 1500);
    const run = () =>
      promisify(execFile)(process.execPath, [
        ...['--input-type=module', '-e', program],
        ...[database, folder, begin],
      ]);
    const ended = await Promise.allSettled(Array.from({ length: 4 }, run));
    expect(ended.filter(({ status }) => status === 'rejected')).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
