import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import Database from 'libsql';
import { createAdapter } from '../../src/adapter.ts';
import { createLimits } from '../../src/http/limits.ts';
import { demoTenantFile, loadTenant } from '../../src/index.ts';
import { openStateStore } from '../../src/state/file.ts';
import { MemoryState, type StateStore } from '../../src/state/memory.ts';
import { BoundedAdapter } from '../../src/state/store-adapter.ts';
import { RefreshTokenAdapter } from '../../src/token/refresh-token.ts';
import { type Clock, takeClock } from '../support/clock.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { keptLog } from '../support/kept-log.ts';
import { authorizationRequest, openBrowser, tokensFor } from '../support/sign-in.ts';

describe('a state store', () => {
  describe.each(['memory:', 'file:'])('%s', (place) => {
    let now = 1000;
    let store: StateStore;
    let directory: string;
    beforeEach(() => {
      now = 1000;
      directory = mkdtempSync(join(tmpdir(), 'state-'));
      store = openStateStore(
        place === 'file:' ? `file:${join(directory, 'state.db')}` : place,
        () => now,
      );
    });
    afterEach(() => {
      store.close();
      rmSync(directory, { recursive: true });
    });

    test('a record exists until its end', () => {
      store.write('Session', 'a', { x: 1 }, 10);
      store.write('Consent', 'a', { y: 2 });
      now += 9;
      expect(store.read('Session', 'a')?.content).toEqual({ x: 1 });
      now += 1;
      expect(store.read('Session', 'a')).toBeUndefined();
      expect(store.read('Consent', 'a')?.content).toEqual({ y: 2 });
    });

    test('writing again replaces the content and its end', () => {
      store.write('Session', 'a', { x: 1 }, 10, { uid: 'u1' });
      store.write('Session', 'a', { x: 2 }, 20, { uid: 'u2' });
      now += 15;
      expect(store.readByUid('Session', 'u1')).toBeUndefined();
      expect(store.readByUid('Session', 'u2')?.content).toEqual({ x: 2 });
    });

    test('replacing a content keeps the keys and end of its record, and revives none', () => {
      store.write('Interaction', 'a', { x: 1 }, 10, { uid: 'u', grantId: 'g' });
      store.consume('Interaction', 'a');
      now += 9;
      store.replaceContent('Interaction', 'a', { x: 2 });
      expect(store.readByUid('Interaction', 'u')).toEqual({ content: { x: 2 }, consumed: 1000 });
      expect(store.idsByGrantId('Interaction', 'g')).toEqual(['a']);
      now += 1;
      store.replaceContent('Interaction', 'a', { x: 3 });
      expect(store.read('Interaction', 'a')).toBeUndefined();
      now -= 1;
      expect(store.read('Interaction', 'a')?.content).toEqual({ x: 2 });
      store.replaceContent('Interaction', 'unknown', {});
      expect(store.read('Interaction', 'unknown')).toBeUndefined();
    });

    test('clear deletes all records', () => {
      store.write('Session', 'a', { x: 1 }, 10, { uid: 'u1', grantId: 'g' });
      store.write('Consent', 'a', { y: 2 });
      store.clear();
      expect(store.read('Session', 'a')).toBeUndefined();
      expect(store.readByUid('Session', 'u1')).toBeUndefined();
      expect(store.read('Consent', 'a')).toBeUndefined();
      store.write('Consent', 'a', { y: 3 });
      expect(store.read('Consent', 'a')?.content).toEqual({ y: 3 });
    });

    test('is used up once', () => {
      store.write('AuthorizationCode', 'a', {}, 10);
      expect(store.consume('AuthorizationCode', 'a')).toBe(true);
      expect(store.consume('AuthorizationCode', 'a')).toBe(false);
      expect(store.consume('AuthorizationCode', 'unknown')).toBe(false);
      expect(store.read('AuthorizationCode', 'a')?.consumed).toBe(1000);
    });

    test('stays used up when it is written again', () => {
      store.write('RefreshToken', 'a', { x: 1 }, 10);
      store.consume('RefreshToken', 'a');
      store.write('RefreshToken', 'a', { x: 2 }, 10);
      expect(store.read('RefreshToken', 'a')).toEqual({ content: { x: 2 }, consumed: 1000 });
      expect(store.consume('RefreshToken', 'a')).toBe(false);
    });

    test('is found by its uid under a new id', () => {
      store.write('Session', 'old', { x: 1 }, 10, { uid: 'u' });
      store.write('Session', 'new', { x: 2 }, 10, { uid: 'u' });
      store.delete('Session', 'old');
      expect(store.readByUid('Session', 'u')?.content).toEqual({ x: 2 });
      store.delete('Session', 'new');
      expect(store.readByUid('Session', 'u')).toBeUndefined();
    });

    test('is a copy of the written content, and is read as a copy', () => {
      const content = { scopes: ['a'] };
      store.write('Consent', 'a', content);
      content.scopes.push('b');
      Object.assign(store.read('Consent', 'a')?.content ?? {}, { scopes: [] });
      expect(store.read('Consent', 'a')?.content).toEqual({ scopes: ['a'] });
    });

    test('is deleted with its grant, of its own kind only', () => {
      store.write('RefreshToken', 'a', {}, 10, { grantId: 'g' });
      store.write('AccessToken', 'a', {}, 10, { grantId: 'g' });
      store.write('RefreshToken', 'b', {}, 10, { grantId: 'h' });
      store.write('RefreshToken', 'c', {}, 10, { grantId: 'h' });
      store.write('RefreshToken', 'c', {}, 10, { grantId: 'g' });
      store.deleteByGrantId('RefreshToken', 'g');
      expect(store.read('RefreshToken', 'a')).toBeUndefined();
      expect(store.read('RefreshToken', 'c')).toBeUndefined();
      expect(store.read('RefreshToken', 'b')).toBeDefined();
      expect(store.read('AccessToken', 'a')).toBeDefined();
    });

    test('has its id listed by grant until it has ended, the first to end first', () => {
      const grantId = 'g';
      store.write('Family', 'never', {}, undefined, { grantId });
      store.write('Family', 'always', {}, undefined, { grantId });
      store.write('Family', 'late', {}, 30, { grantId });
      store.write('Family', 'soon', {}, 10, { grantId });
      store.write('Family', 'put off', {}, 5, { grantId });
      store.write('Family', 'put off', {}, 20, { grantId });
      store.write('Family', 'foreign', {}, 20, { grantId: 'other' });
      store.write('Token', 'of another kind', {}, 20, { grantId });
      const ids = store.idsByGrantId('Family', grantId);
      expect(ids.slice(0, 3)).toEqual(['soon', 'put off', 'late']);
      expect(ids.slice(3).sort()).toEqual(['always', 'never']);
      now += 10;
      expect(store.idsByGrantId('Family', grantId)[0]).toBe('put off');
      store.delete('Family', 'put off');
      expect(store.idsByGrantId('Family', grantId)[0]).toBe('late');
      expect(store.idsByGrantId('Family', 'unknown')).toEqual([]);
    });

    test('is stored among many', () => {
      for (let i = 0; i < 5000; i += 1) store.write('RefreshToken', `token-${i}`, { i }, 100);
      expect(store.read('RefreshToken', 'token-0')?.content).toEqual({ i: 0 });
    });
  });

  test('files and folder are readable for the owner only, with any umask', () => {
    const directory = mkdtempSync(join(tmpdir(), 'state-'));
    const umask = process.umask(0);
    try {
      const kept = openStateStore(`file:${join(directory, 'new', 'state.db')}`);
      kept.write('Session', 'a', {});
      const modeOf = (path: string) => (statSync(join(directory, path)).mode & 0o777).toString(8);
      for (const suffix of ['', '-wal', '-shm'])
        expect(modeOf(`new/state.db${suffix}`)).toBe('600');
      expect(modeOf('new')).toBe('700');
      kept.close();
    } finally {
      process.umask(umask);
      rmSync(directory, { recursive: true });
    }
  });
});

test('while another program writes to the file, a sign-in waits and the server goes on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'state-'));
  const path = join(directory, 'state.db');
  const server = await startDemo(undefined, { state: `file:${path}` });
  const other = new Database(path);
  // Held by this very thread: a server that blocks it would wait in vain.
  other.exec('BEGIN IMMEDIATE');
  const signedIn = tokensFor(server);
  const metadata = await fetch(`${server.issuer}.well-known/openid-configuration`);
  expect(metadata.status).toBe(200);
  other.exec('COMMIT');
  other.close();
  expect((await signedIn).tokens.access_token).toEqual(expect.any(String));
  await server.close();
  rmSync(directory, { recursive: true });
});

test('after five seconds such a request gets 503, and the log says what to do', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'state-'));
  const path = join(directory, 'state.db');
  const { logger, lines } = keptLog();
  const server = await startDemo(undefined, { state: `file:${path}`, logger });
  const other = new Database(path);
  const clock = takeClock();
  other.exec('BEGIN IMMEDIATE');
  const timer = setInterval(() => clock.pass(1000), 10);
  const answer = await fetch(`${server.issuer}oauth/token`, { method: 'POST' });
  clearInterval(timer);
  jest.restoreAllMocks();
  other.exec('COMMIT');
  other.close();
  await server.close();
  rmSync(directory, { recursive: true });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
  expect(lines.filter(({ level }) => level === 50).map(({ msg }) => msg)).toEqual([
    'another program has locked the state file: end it, or give each server its own file',
  ]);
});

describe('state in memory', () => {
  test('each state is separate, and empty after it is closed', () => {
    const state = new MemoryState();
    const other = new MemoryState();
    state.write('Session', 'a', { x: 1 }, 10, { uid: 'u' });
    expect(other.read('Session', 'a')).toBeUndefined();
    expect(other.readByUid('Session', 'u')).toBeUndefined();
    state.close();
    expect(state.read('Session', 'a')).toBeUndefined();
    other.close();
  });

  test('a record ends in time, although the clock is set back meanwhile', () => {
    jest.useFakeTimers();
    try {
      const state = new MemoryState();
      state.write('Interaction', 'a', {}, 3600);
      jest.setSystemTime(Date.now() - 7_200_000);
      jest.advanceTimersByTime(3_599_000);
      expect(state.read('Interaction', 'a')).toBeDefined();
      jest.advanceTimersByTime(1000);
      expect(state.read('Interaction', 'a')).toBeUndefined();
      state.close();
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('the adapter of the engine', () => {
  let store: StateStore;
  beforeEach(() => {
    store = openStateStore('memory:');
  });
  afterEach(() => store.close());

  const tenant = loadTenant(demoTenantFile);
  const adapterOf = (kind: string) =>
    createAdapter({
      tenant,
      store,
      limits: createLimits(tenant),
      userinfoTokens: { verify: async () => undefined },
    })(kind);

  test('more than 1000 unused pushed requests remove the oldest', async () => {
    const adapter = adapterOf('PushedAuthorizationRequest');
    for (let i = 0; i < 1001; i += 1) await adapter.upsert(`r${i}`, {}, 60);
    expect(await adapter.find('r0')).toBeUndefined();
    expect(await adapter.find('r1')).toBeDefined();
  });

  test('more than 5000 open sign-ins remove the oldest', async () => {
    const adapter = adapterOf('Interaction');
    for (let i = 0; i < 5000; i += 1) await adapter.upsert(`i${i}`, { uid: `u${i}` }, 3600);
    // One that is completed makes room, and one that goes on does not count twice.
    await adapter.destroy('i5');
    await adapter.upsert('i0', { uid: 'u0', result: {} }, 3600);
    await adapter.upsert('x0', { uid: 'x0' }, 3600);
    expect(await adapter.find('i0')).toBeDefined();
    await adapter.upsert('x1', { uid: 'x1' }, 3600);
    expect(await adapter.find('i0')).toBeUndefined();
    expect(await adapter.find('i1')).toBeDefined();
    expect(await adapter.find('x1')).toBeDefined();
  });

  test('a request that began before the end of a session does not store it again', async () => {
    const adapter = adapterOf('Session');
    const session = { uid: 'u1', accountId: 'auth0|alice' };
    await adapter.upsert('s1', session, 60);
    await adapter.destroy('s1');
    await adapter.upsert('s1', session, 60);
    expect(await adapter.find('s1')).toBeUndefined();
    expect(await adapter.findByUid('u1')).toBeUndefined();
    await adapter.upsert('s2', session, 60);
    expect(await adapter.findByUid('u1')).toMatchObject(session);
  });

  test('other records have no limit', async () => {
    const adapter = adapterOf('Session');
    for (let i = 0; i < 5010; i += 1) await adapter.upsert(`s${i}`, { uid: `u${i}` }, 3600);
    expect(await adapter.find('s0')).toBeDefined();
  });

  test('a record is used up once, also by simultaneous requests', async () => {
    const adapter = adapterOf('AuthorizationCode');
    await adapter.upsert('code', {}, 60);
    const results = await Promise.allSettled([adapter.consume('code'), adapter.consume('code')]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  describe('with a limit of four records', () => {
    let bounded: BoundedAdapter;
    beforeEach(() => {
      bounded = new BoundedAdapter('Session', store, 4);
    });

    const write = async (by: string, ...ids: string[]) => {
      for (const id of ids) await bounded.upsert(id, {}, 60, by);
    };
    const kept = (...ids: string[]) => ids.filter((id) => store.read('Session', id) !== undefined);

    test('one too many removes the oldest', async () => {
      await write('a', 'a1', 'a2', 'a3', 'a4', 'a5');
      expect(kept('a1', 'a2', 'a3', 'a4', 'a5')).toEqual(['a2', 'a3', 'a4', 'a5']);
    });

    test('one address with many records does not displace those of others', async () => {
      await write('b', 'b1');
      await write('c', 'c1');
      await write('a', ...Array.from({ length: 50 }, (_, i) => `a${i}`));
      expect(kept('b1', 'c1', 'a48', 'a49', 'a47')).toEqual(['b1', 'c1', 'a48', 'a49']);
    });

    test('a rewritten record counts once, a destroyed one not at all', async () => {
      await write('a', 'a1', 'a1', 'a1', 'a2', 'a3');
      await bounded.destroy('a2');
      await write('a', 'a4', 'a5');
      expect(kept('a1', 'a2', 'a3', 'a4', 'a5')).toEqual(['a1', 'a3', 'a4', 'a5']);
    });

    test('a rewritten record keeps its end', async () => {
      let now = 1000;
      const state = openStateStore('memory:', () => now);
      const adapter = new BoundedAdapter('Interaction', state, 4);
      await adapter.upsert('a1', { uid: 'u' }, 60);
      await adapter.upsert('a1', { uid: 'u', result: {} }, 6000);
      now += 59;
      expect(await adapter.findByUid('u')).toMatchObject({ result: {} });
      now += 1;
      expect(await adapter.find('a1')).toBeUndefined();
      state.close();
    });
  });
});

describe('the clock is set back', () => {
  // Limits are in http/limits.test.ts. A fault waits for requests, not for a time.

  const HOUR_MS = 3_600_000;

  let clock: Clock;
  beforeEach(() => {
    clock = takeClock();
  });
  afterAll(stopServers);

  test('a sign-in that waits ends after an hour', async () => {
    const server = await startDemo();
    const browser = openBrowser();
    const page = await browser.get(authorizationRequest(server).url);
    expect(page.url).toContain('/u/login/');
    clock.wallMs -= 2 * HOUR_MS;
    clock.elapsedMs += HOUR_MS - 60_000;
    expect((await browser.get(page.url)).statusCode).toBe(200);
    clock.elapsedMs += 60_000;
    const answer = await browser.submit(page, {
      username: 'alice@example.com',
      password: 'alice-demo',
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.body).toContain('This sign-in has ended');
  });

  test('the leeway of a used refresh token ends', async () => {
    const tenant = loadTenant(demoTenantFile);
    Object.assign(tenant.clients[0]!.refresh_token, { rotation_type: 'rotating', leeway: 60 });
    const store = openStateStore('memory:');
    const adapter = new RefreshTokenAdapter(tenant, store);
    const token = { grantId: 'grant', clientId: 'contacts-web', rotations: 0 };
    await adapter.upsert('used', token, 1000);
    await adapter.consume('used');
    await adapter.upsert('next', { ...token, rotations: 1 }, 1000);
    clock.wallMs -= HOUR_MS;
    clock.elapsedMs += 50_000;
    expect(await adapter.find('used')).toMatchObject({ consumed: undefined });
    clock.elapsedMs += 20_000;
    expect(await adapter.find('used')).toMatchObject({ consumed: expect.any(Number) });
    store.close();
  });
});
