import { strict as assert } from 'node:assert';
import { type ListedSession, MAX_SESSIONS_PER_TERM } from './session-store.ts';
import {
  CONCURRENT_CALLS,
  type ContractTests,
  equal,
  many,
  resultOf,
  same,
  session,
  stored,
} from './session-store-contract.ts';

/** Tests of the contract by title: sessions that are found, and ended, by a term. */
export const TERMS_CONTRACT: ContractTests = {
  async 'lists the sessions that have a term, and no others'({ store, other, key, term, later }) {
    await store.create(`${key}-1`, { ...session(later, [term, `${term}-x`]), about: 'first' });
    await store.create(`${key}-2`, { ...session(later + 1, [term]), about: 'second' });
    await store.create(`${key}-3`, session(later, [`${term}-x`]));
    await store.create(`${key}-4`, session(later));
    const listed = (await other.list(term)).sort((a, b) => a.expiresAt - b.expiresAt);
    const shown = listed.map(({ key, about, expiresAt }) => ({ key, about, expiresAt }));
    assert.equal(
      JSON.stringify(shown),
      JSON.stringify([
        { key: `${key}-1`, about: 'first', expiresAt: later },
        { key: `${key}-2`, about: 'second', expiresAt: later + 1 },
      ]),
    );
    equal((await other.list(`${term}-x`)).length, 2);
    equal((await other.list(`${term}-none`)).length, 0);
  },

  async 'the end of one session leaves the others listed'({ store, other, key, term, later }) {
    await store.create(`${key}-1`, session(later, [term]));
    await store.create(`${key}-2`, session(later, [term]));
    await other.destroy(`${key}-1`);
    assert.deepEqual(
      (await store.list(term)).map((listed) => listed.key),
      [`${key}-2`],
    );
  },

  async 'a session that was touched or updated stays listed'({ store, key, term, later, expire }) {
    await store.create(`${key}-1`, session(later, [term]));
    await store.create(`${key}-2`, session(later, [term]));
    await store.create(`${key}-3`, session(later, [term]));
    await store.touch(`${key}-1`, later + 1000);
    await store.update(`${key}-2`, 1, { sealed: 'two', expiresAt: later + 2000 });
    await expire();
    assert.deepEqual(
      (await store.list(term)).map(({ expiresAt }) => expiresAt - later).sort(),
      [1000, 2000],
    );
  },

  async 'ends the session that expires first if a term has more than a hundred'(run) {
    const { store, other, key, term, later } = run;
    const names = Array.from({ length: MAX_SESSIONS_PER_TERM }, (_, i) => `${key}-${i}`);
    for (const [i, name] of names.entries()) {
      const each = i % 2 === 0 ? store : other;
      await each.create(name, session(later + 100 + i, [`${term}-x`, term]));
    }
    const [used = '', unused = ''] = names;
    await store.touch(used, later + 1000);
    // The new one stays, although it expires before all others.
    await other.create(`${key}-new`, session(later + 50, [term]));
    equal(await store.read(unused), undefined);
    const kept = [...names.filter((name) => name !== unused), `${key}-new`];
    assert.deepEqual(keysOf(await store.list(term)), kept.sort());
    equal((await store.list(`${term}-x`)).length, MAX_SESSIONS_PER_TERM - 1);
  },

  async 'ends all sessions with a term except one, and no others'(run) {
    const { store, other, key, term, later } = run;
    await store.create(`${key}-1`, session(later, [term, `${term}-x`]));
    await store.create(`${key}-2`, session(later, [term]));
    await store.create(`${key}-3`, session(later, [term]));
    await store.create(`${key}-4`, session(later, [`${term}-x`]));
    equal(await other.destroyAll(term, `${key}-2`), 2);
    equal(await store.read(`${key}-1`), undefined);
    equal(await store.read(`${key}-3`), undefined);
    assert.deepEqual(keysOf(await store.list(term)), [`${key}-2`]);
    assert.deepEqual(keysOf(await store.list(`${term}-x`)), [`${key}-4`]);
    equal(await other.destroyAll(term), 1);
    equal(await store.destroyAll(term), 0);
    same(await store.read(`${key}-4`), { ...stored(later), version: 1 });
  },

  async 'ends each session once when many calls end the same sessions'(run) {
    const { store, other, key, term, later } = run;
    const sessions = Array.from({ length: 2 * CONCURRENT_CALLS }, (_, i) => `${key}-${i}`);
    await Promise.all(sessions.map((name) => store.create(name, session(later, [term]))));
    const results = await many(store, other, (each) => each.destroyAll(term));
    const ended = results.map((result) => resultOf(result) ?? Number.NaN);
    equal(
      ended.reduce((sum, count) => sum + count),
      sessions.length,
    );
  },

  async 'stores all sessions of many sign-ins of a user at once'({
    store,
    other,
    key,
    term,
    later,
  }) {
    const each = session(later, [term, `${term}-x`]);
    for (let i = 0; i < 8; i += 1) {
      const results = await many(store, other, (one, n) => one.create(`${key}-${i}-${n}`, each));
      equal(results.filter(resultOf).length, CONCURRENT_CALLS);
    }
    await store.create(key, each);
    assert.ok((await other.list(term)).length <= MAX_SESSIONS_PER_TERM);
  },

  async 'does not count an expired session as ended'({ store, key, term, later, expire }) {
    await store.create(`${key}-1`, session(later, [term]));
    await store.create(`${key}-2`, session(later + 1000, [term]));
    await expire();
    equal(await store.destroyAll(term), 1);
  },

  async 'stores no session whose sign-in began before an end of its term'(run) {
    const { store, other, key, term, later } = run;
    const ended = later - 50.5;
    await other.recordEnd(term, ended, later);
    const early = session(later, [`${term}-x`, term], ended - 0.25);
    equal(await store.create(key, early), false);
    equal(await other.read(key), undefined);
    equal((await store.list(`${term}-x`)).length, 0);
    equal(await store.create(`${key}-x`, { ...early, terms: [`${term}-x`] }), true);
    equal(await store.create(key, { ...early, startedAt: ended + 0.25 }), true);
    assert.deepEqual(keysOf(await other.list(term)), [key]);
  },

  async 'a recorded end keeps stored sessions, and the later of two ends counts'(run) {
    const { store, other, key, term, later } = run;
    const early = session(later, [term], later - 55);
    await store.create(`${key}-1`, early);
    await store.recordEnd(term, later - 50, later);
    await other.recordEnd(term, later - 60, later);
    same(await store.read(`${key}-1`), { ...stored(later), version: 1 });
    equal(await store.create(`${key}-2`, early), false);
  },

  async 'leaves no session when a sign-in and an end happen at the same time'(run) {
    const { store, other, key, term, later } = run;
    for (let i = 0; i < CONCURRENT_CALLS; i += 1) {
      const each = `${term}-${i}`;
      const calls = [
        () => store.create(`${key}-${i}`, session(later, [each], later - 51)),
        async () => {
          await other.recordEnd(each, later - 50, later);
          await other.destroyAll(each);
        },
      ];
      await Promise.all((i % 2 === 0 ? calls : calls.reverse()).map((call) => call()));
      equal(await store.read(`${key}-${i}`), undefined);
    }
  },
};

function keysOf(listed: readonly ListedSession[]): string[] {
  return listed.map(({ key }) => key).sort();
}
