import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { SessionStore, StoredSession } from '../../src/session/session-store.ts';

export type Deed = 'append' | 'append under the lease' | 'touch' | 'create' | 'destroy';

const LEASE = 60_000;

/**
 * Lets several callers do their deeds to one session at the same time, over several stores that
 * share it, and judges what became of it: each appends marks to what it read.
 */
export async function liveTogether(
  stores: readonly SessionStore[],
  lives: readonly (readonly Deed[])[],
): Promise<void> {
  const key = randomUUID();
  const term = randomUUID();
  const later = Math.floor(Date.now() / 1000) + 600;
  const acknowledged: string[] = [];
  const fences: number[] = [];
  const ended: StoredSession[] = [];
  let holders = 0;
  let marks = 0;

  const [first] = stores as [SessionStore];
  const times = { expiresAt: later, startedAt: later };
  const begin = { sealed: '', about: 'about', ...times, terms: [term] };
  await first.create(key, begin);

  async function append(store: SessionStore, fence?: number): Promise<void> {
    const wasOver = ended.length > 0;
    const read = await store.read(key);
    if (wasOver) expect(read).toBeUndefined();
    // From here on others may come between.
    await turn();
    marks += 1;
    const mark = `[${marks}]`;
    const { version = 1, sealed = '' } = read ?? {};
    const write = { sealed: sealed + mark, expiresAt: later + marks };
    const isOver = ended.length > 0;
    const written = await store.update(key, version, write, fence);
    if (isOver) expect(written).toBe(false);
    if (written) acknowledged.push(mark);
  }

  async function appendUnderLease(store: SessionStore): Promise<void> {
    const fence = await store.acquire(key, LEASE);
    if (fence === undefined) return;
    holders += 1;
    // The end of a session ends its lease, and there is no other.
    expect(holders).toBe(1);
    for (const before of fences) expect(fence).toBeGreaterThan(before);
    fences.push(fence);
    await append(store, fence);
    holders -= 1;
    await store.release(key, fence);
  }

  async function act(store: SessionStore, deed: Deed): Promise<void> {
    if (deed === 'append') return append(store);
    if (deed === 'append under the lease') return appendUnderLease(store);
    if (deed === 'touch') return store.touch(key, later + 1000);
    if (deed === 'create') {
      // It must fail over an existing session. After the end it would make a new one.
      if (ended.length === 0) await expectRefusal(store);
      return;
    }
    const last = await store.destroy(key);
    if (last) ended.push(last);
  }

  async function expectRefusal(store: SessionStore): Promise<void> {
    const other = `${key}-taken`;
    await first.create(other, begin).catch(() => {});
    await expect(store.create(other, { ...begin, sealed: 'x' })).rejects.toThrow('exists');
    expect((await first.read(other))?.sealed).toBe('');
  }

  await Promise.all(
    lives.map(async (deeds, i) => {
      const store = stores[i % stores.length] as SessionStore;
      for (const deed of deeds) {
        await act(store, deed);
        await turn();
      }
    }),
  );

  const left = await first.read(key);
  const last = ended[0] ?? left;
  expect(ended.length).toBeLessThanOrEqual(1);
  if (ended.length > 0) expect(left).toBeUndefined();
  expect(last?.sealed).toBe(acknowledged.join(''));
  expect(last?.version).toBe(1 + acknowledged.length);
  const listed = (await first.list(term)).map((session) => session.key);
  expect(listed.includes(key)).toBe(ended.length === 0);
  await first.destroy(key);
  await first.destroy(`${key}-taken`);
}
