import { strict as assert } from 'node:assert';
import type { NewSession, SessionStore, StoredSession } from './session-store.ts';

/** Input of one test of the contract. */
export interface ContractRun {
  readonly store: SessionStore;
  /** Another store on the same sessions; the same one where they are not shared. */
  readonly other: SessionStore;
  readonly key: string;
  readonly term: string;
  /** Seconds since 1970 at which a session made now expires. */
  readonly later: number;
  /** Milliseconds that a lease lasts. */
  readonly lease: number;
  /** Lets a session of `later`, and a lease, run out. */
  expire(): Promise<void>;
}

export const CONCURRENT_CALLS = 20;

export type ContractTests = Record<string, (run: ContractRun) => Promise<void>>;

/** Tests of the contract by title: single sessions, leases and values. */
export const CONTRACT: ContractTests = {
  async 'reads what was created, at version 1'({ store, other, key, later }) {
    equal(await store.create(key, session(later)), true);
    same(await other.read(key), { ...stored(later), version: 1 });
    equal(await store.read(`${key}-other`), undefined);
  },

  async 'keeps long values and all characters as they are'({ store, key, later }) {
    const sealed = `"'\\{}%$ ä € 😀 \n${'x'.repeat(64 * 1024)}`;
    await store.create(key, { ...session(later), sealed, about: "it's; -- 😀" });
    same(await store.read(key), { sealed, about: "it's; -- 😀", expiresAt: later, version: 1 });
  },

  async 'creates nothing over an existing session'({ store, other, key, term, later }) {
    await store.create(key, session(later));
    await assert.rejects(async () => other.create(key, { ...session(later, [term]), sealed: 'x' }));
    same(await store.read(key), { ...stored(later), version: 1 });
    equal((await store.list(term)).length, 0);
  },

  async 'one of many creations at once succeeds'({ store, other, key, later }) {
    const results = await many(store, other, (each) => each.create(key, session(later)));
    equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  },

  async 'creates over an expired session'({ store, key, later, expire }) {
    await store.create(key, session(later));
    await expire();
    await store.create(key, { ...session(later + 1000), sealed: 'new' });
    same(await store.read(key), { ...stored(later + 1000), sealed: 'new', version: 1 });
  },

  async 'updates what has not changed since it was read'({ store, other, key, later }) {
    await store.create(key, session(later));
    equal(await other.update(key, 1, { sealed: 'two', expiresAt: later + 1 }), true);
    same(await store.read(key), { ...stored(later + 1), sealed: 'two', version: 2 });
    equal(await store.update(key, 1, { sealed: 'three', expiresAt: later }), false);
    equal(await store.update(key, 3, { sealed: 'three', expiresAt: later }), false);
    same(await other.read(key), { ...stored(later + 1), sealed: 'two', version: 2 });
  },

  async 'one of many updates of a version is written'({ store, other, key, later }) {
    await store.create(key, session(later));
    const results = await many(store, other, (each, i) =>
      each.update(key, 1, { sealed: `sealed-${i}`, expiresAt: later }),
    );
    const winners = results.flatMap((result, i) => (resultOf(result) ? [i] : []));
    equal(winners.length, 1);
    same(await store.read(key), { ...stored(later), sealed: `sealed-${winners[0]}`, version: 2 });
  },

  async 'neither update nor touch restores an ended session'({ store, other, key, later }) {
    await store.create(key, session(later));
    await other.destroy(key);
    equal(await store.update(key, 1, { sealed: 'two', expiresAt: later }), false);
    await store.touch(key, later + 50);
    equal(await store.read(key), undefined);
  },

  async 'touch moves the expiry and leaves the version'({ store, other, key, later, expire }) {
    await store.create(key, session(later));
    await other.touch(key, later + 1000);
    same(await store.read(key), { ...stored(later + 1000), version: 1 });
    await expire();
    same(await store.read(key), { ...stored(later + 1000), version: 1 });
  },

  async 'an expired session is gone for all'({ store, key, term, later, expire, lease }) {
    await store.create(key, session(later, [term]));
    await expire();
    equal(await store.read(key), undefined);
    equal(await store.update(key, 1, { sealed: 'two', expiresAt: later + 1000 }), false);
    await store.touch(key, later + 1000);
    equal(await store.acquire(key, lease), undefined);
    equal((await store.list(term)).length, 0);
    equal(await store.read(key), undefined);
  },

  async 'destroy returns the last state'({ store, other, key, later }) {
    await store.create(key, session(later));
    await store.update(key, 1, { sealed: 'two', expiresAt: later });
    same(await other.destroy(key), { ...stored(later), sealed: 'two', version: 2 });
    equal(await store.destroy(key), undefined);
    equal(await store.read(key), undefined);
  },

  async 'one of many calls that destroy a session gets it'({ store, other, key, later }) {
    await store.create(key, session(later));
    const results = await many(store, other, (each) => each.destroy(key));
    equal(results.filter(resultOf).length, 1);
  },

  async 'destroy removes an expired session, returned or not'({ store, key, later, expire }) {
    await store.create(key, session(later));
    await expire();
    const last = await store.destroy(key);
    if (last) same(last, { ...stored(later), version: 1 });
    equal(await store.destroy(key), undefined);
  },

  async 'one of many calls that acquire a lease gets it'({ store, other, key, later, lease }) {
    await store.create(key, session(later));
    const results = await many(store, other, (each) => each.acquire(key, lease));
    equal(results.filter((result) => typeof resultOf(result) === 'number').length, 1);
    equal(results.filter(({ status }) => status === 'rejected').length, 0);
  },

  async 'the lease of a session that does not exist cannot be acquired'({ store, key, lease }) {
    equal(await store.acquire(key, lease), undefined);
    equal(await store.extend(key, 1, lease), false);
    await store.release(key, 1);
    equal(await store.read(key), undefined);
  },

  async 'a released lease can be acquired, with a higher fence'(run) {
    const { store, other, key, later, lease } = run;
    await store.create(key, session(later));
    const first = fence(await store.acquire(key, lease));
    await other.release(key, first + 1);
    equal(await other.acquire(key, lease), undefined);
    await store.release(key, first);
    assert.ok(fence(await other.acquire(key, lease)) > first);
    await store.release(key, first);
    equal(await store.acquire(key, lease), undefined);
  },

  async 'an expired lease can be acquired by another caller'({
    store,
    other,
    key,
    later,
    lease,
    expire,
  }) {
    await store.create(key, session(later + 1000));
    const first = fence(await store.acquire(key, lease));
    await expire();
    equal(await store.extend(key, first, lease), false);
    assert.ok(fence(await other.acquire(key, lease)) > first);
    equal(await store.extend(key, first, lease), false);
  },

  async 'a lease that is extended stays with its holder'({ store, other, key, later, expire }) {
    await store.create(key, session(later + 100_000));
    const held = fence(await store.acquire(key, 1000));
    equal(await store.extend(key, held, 3_600_000), true);
    equal(await other.extend(key, held + 1, 3_600_000), false);
    await expire();
    equal(await other.acquire(key, 1000), undefined);
  },

  async 'an update with a fence is written if no other caller got the lease'(run) {
    const { store, other, key, later, lease, expire } = run;
    await store.create(key, session(later + 1000));
    const write = { sealed: 'two', expiresAt: later + 1000 };
    const first = fence(await store.acquire(key, lease));
    equal(await store.update(key, 1, write, first), true);
    await expire();
    equal(await store.update(key, 2, write, first), true);
    const second = fence(await other.acquire(key, lease));
    equal(await store.update(key, 3, write, first), false);
    equal(await other.update(key, 3, write, second), true);
    await other.release(key, second);
    equal(await other.update(key, 4, write, second), true);
  },

  async 'writes do not change the lease, and the lease does not change writes'(run) {
    const { store, other, key, later, lease } = run;
    await store.create(key, session(later));
    const held = fence(await store.acquire(key, lease));
    equal(await other.update(key, 1, { sealed: 'two', expiresAt: later }), true);
    await other.touch(key, later + 10);
    equal(await other.acquire(key, lease), undefined);
    equal(await store.extend(key, held, lease), true);
    await store.release(key, held);
    same(await store.read(key), { ...stored(later + 10), sealed: 'two', version: 2 });
  },

  async 'a value can be used once until it expires'({ store, other, key, later, expire }) {
    equal(await store.once(key, later), true);
    equal(await store.once(key, later), false);
    equal(await other.once(key, later + 1000), false);
    equal(await other.once(`${key}-other`, later), true);
    await expire();
    equal(await other.once(key, later + 1000), true);
  },

  async 'one of many calls that use a value is the first'({ store, other, key, later }) {
    const results = await many(store, other, (each) => each.once(key, later));
    equal(results.filter(resultOf).length, 1);
  },
};

export function session(
  expiresAt: number,
  terms: readonly string[] = [],
  startedAt = expiresAt,
): NewSession {
  return { sealed: 'sealed', about: 'about', expiresAt, startedAt, terms };
}

export function stored(expiresAt: number) {
  return { sealed: 'sealed', about: 'about', expiresAt };
}

function fence(value: number | undefined): number {
  assert.ok(Number.isInteger(value), `a lease has a whole number for its fence, not ${value}`);
  return value as number;
}

export function equal(actual: unknown, expected: unknown): void {
  assert.equal(actual, expected);
}

/** Compares fields only: an object that a database made may have another prototype. */
export function same(actual: StoredSession | undefined, expected: StoredSession): void {
  assert.ok(actual, 'the session is not there');
  const { sealed, about, expiresAt, version } = actual;
  assert.deepEqual({ sealed, about, expiresAt, version }, expected);
}

export function many<T>(
  one: SessionStore,
  other: SessionStore,
  call: (store: SessionStore, i: number) => Promise<T>,
): Promise<PromiseSettledResult<T>[]> {
  const calls = Array.from({ length: CONCURRENT_CALLS }, (_, i) =>
    call(i % 2 === 0 ? one : other, i),
  );
  return Promise.allSettled(calls);
}

export function resultOf<T>(result: PromiseSettledResult<T>): T | undefined {
  return result.status === 'fulfilled' ? result.value : undefined;
}
