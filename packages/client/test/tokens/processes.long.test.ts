import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { REDIS_URL, whyNoRedis } from '../../../../test/support/redis.ts';
import { createSessionKey, type SessionKey } from '../../src/oauth/dpop.ts';
import { type Session, type SessionContent, Sessions } from '../../src/session/session.ts';
import type { Term } from '../../src/session/session-list.ts';
import type { SessionStore } from '../../src/session/session-store.ts';
import { postgresStore } from '../../src/session/stores/postgres.ts';
import { redisStore } from '../../src/session/stores/redis.ts';
import { sqliteStore } from '../../src/session/stores/sqlite.ts';
import { checkedOptions } from '../support/options.ts';
import { dropTables, newTablePrefix, POSTGRES_URL, whyNoPostgres } from '../support/postgres.ts';
import { dropKeys, newPrefix } from '../support/redis.ts';
import { SIGN_INS_SCOPE, startTokenServer, type TokenServer } from '../support/token-server.ts';

const WORKER = fileURLToPath(new URL('../support/refresh-worker.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'refresh-'));
const prefix = newPrefix();
const tables = newTablePrefix();
const [noRedis, noPostgres] = await Promise.all([whyNoRedis(), whyNoPostgres()]);
const file = { path: join(folder, 'sessions.db') };
const redis = { url: REDIS_URL, prefix };
const postgres = { url: POSTGRES_URL, prefix: tables };

const LEASE = 900;
const LEASE_OF_THE_DYING = 300;

const workers: ChildProcess[] = [];
let server: TokenServer;
let four: [ChildProcess, ChildProcess, ChildProcess, ChildProcess];

beforeAll(async () => {
  server = await startTokenServer();
  four = await Promise.all([startWorker(), startWorker(), startWorker(), startWorker()]);
});
beforeEach(() => {
  server.grants.length = 0;
  server.proofs.length = 0;
  server.delay = 0;
  server.leeway = false;
  server.onGrant = () => undefined;
});
afterAll(async () => {
  await Promise.all(workers.map(end));
  await server.close();
  rmSync(folder, { recursive: true });
  if (!noRedis) await dropKeys(prefix);
  if (!noPostgres) await dropTables(tables);
});

/** Starts an app as a separate process, which shares only the stores. */
async function startWorker(leaseDuration = LEASE): Promise<ChildProcess> {
  const settings = { issuer: server.issuer, leaseDuration, file };
  const argument = JSON.stringify({
    ...settings,
    ...(!noRedis && { redis }),
    ...(!noPostgres && { postgres }),
  });
  const worker = fork(WORKER, [argument], { execArgv: [], silent: true });
  workers.push(worker);
  let complaint = '';
  worker.stderr?.on('data', (chunk) => {
    complaint += chunk;
  });
  await Promise.race([
    once(worker, 'message'),
    once(worker, 'close').then(() => Promise.reject(new Error(`no worker: ${complaint}`))),
  ]);
  return worker;
}

async function end(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  const closed = once(worker, 'close');
  worker.kill('SIGKILL');
  await closed;
}

interface SharedStore {
  readonly name: string;
  readonly missing: string | undefined;
  make(): SessionStore;
}

const stores: SharedStore[] = [
  { name: 'SQLite', missing: undefined, make: () => sqliteStore(file) },
  { name: 'Redis', missing: noRedis, make: () => redisStore(redis) },
  { name: 'PostgreSQL', missing: noPostgres, make: () => postgresStore(postgres) },
];

const noCookies = { get: () => undefined, set() {}, clear() {}, names: () => [] };

const sessionsIn = (store: SessionStore) =>
  new Sessions(checkedOptions({ issuerBaseURL: server.issuer }), store, () => {});

/** A session whose access token has run out. */
async function signIn({ make }: SharedStore, dpopKey?: SessionKey): Promise<Session> {
  const store = make();
  const content = { ...contentOf('sid-1'), dpopKey };
  const session = await sessionsIn(store).open(noCookies, content);
  await store.close();
  return session;
}

function contentOf(sid: string): SessionContent {
  const now = Math.floor(Date.now() / 1000);
  return {
    claims: { iss: server.issuer, sub: 'user-1', sid, aud: 'client-1', iat: now, exp: now + 300 },
    idToken: 'i.d.t',
    loginId: 'login-1',
    requestedScope: SIGN_INS_SCOPE,
    accessToken: {
      value: 'old',
      expiresAt: now - 1,
      issuedAt: now - 3600,
      scope: SIGN_INS_SCOPE,
      requestedScope: SIGN_INS_SCOPE,
    },
    refreshToken: server.begin(),
  };
}

interface Question {
  readonly store: SharedStore;
  readonly session?: Session;
  readonly calls?: number;
  /** The term of the sessions to end. */
  readonly term?: Term;
}

let questions = 0;

/** @returns the results of the calls: tokens, or codes of errors; or how many sessions ended */
async function ask(worker: ChildProcess, asked: Question): Promise<unknown[]> {
  questions += 1;
  const question = questions;
  const { store, session, calls, term } = asked;
  worker.send({ question, store: store.name, id: session?.id, calls, term });
  for (;;) {
    const [answer] = (await once(worker, 'message')) as [{ question: number; values: unknown[] }];
    if (answer.question === question) return answer.values;
  }
}

const askAll = async (question: Question) =>
  (await Promise.all(four.map((worker) => ask(worker, question)))).flat();

const ONE_TOKEN = [expect.stringMatching(/^access-\d+$/)];

describe.each(stores)('processes that share a $name store', (store) => {
  const testIt = store.missing ? test.skip : test;
  const why = store.missing ?? store.name;

  testIt(`four processes with 25 calls each make one grant: ${why}`, async () => {
    for (const delay of [0, 60]) {
      server.grants.length = 0;
      server.delay = delay;
      const session = await signIn(store);
      const values = await askAll({ store, session, calls: 25 });
      expect(values).toHaveLength(100);
      expect([...new Set(values)]).toEqual(ONE_TOKEN);
      expect(server.grants.map((form) => form.get('refresh_token'))).toEqual([
        session.content.refreshToken,
      ]);
    }
  });
});

describe.each(stores)('processes that share a $name store, and a key', (store) => {
  const testIt = store.missing ? test.skip : test;

  testIt(
    `make one grant, also when they need a nonce: ${store.missing ?? store.name}`,
    async () => {
      const nonceIn = (proof = '') => (decodeJwt(proof) as { nonce?: string }).nonce;
      server.onGrant = () =>
        nonceIn(server.proofs.at(-1)) === undefined
          ? { status: 400, headers: { 'dpop-nonce': 'n-1' }, body: { error: 'use_dpop_nonce' } }
          : { more: { token_type: 'DPoP' } };
      const session = await signIn(store, createSessionKey());
      const values = await askAll({ store, session, calls: 25 });
      expect([...new Set(values)]).toEqual(ONE_TOKEN);
      expect(server.proofs.map(nonceIn).filter(Boolean)).toEqual(['n-1']);
    },
  );
});

describe.each(stores)('a logout at another process of a $name store', (store) => {
  const testIt = store.missing ? test.skip : test;
  const why = store.missing ?? store.name;
  let own: SessionStore;

  beforeEach(() => {
    own = store.make();
  });
  afterEach(() => own.close());

  testIt(`refuses a sign-in that began before, and no later one: ${why}`, async () => {
    const sessions = sessionsIn(own);
    const term: Term = ['sid', server.issuer, `late ${why}`];
    const content = contentOf(term[2]);
    const startedAt = Date.now() / 1000 - 1;
    expect(await ask(four[0], { store, term })).toEqual([0]);
    await expect(sessions.open(noCookies, content, '', startedAt)).rejects.toMatchObject({
      code: 'ERR_CODE_REFUSED',
    });
    const later = await sessions.open(noCookies, content, '', Date.now() / 1000 + 1);
    expect(await ask(four[1], { store, term })).toEqual([1]);
    expect(await sessions.reload(later)).toBeUndefined();
  });

  testIt(`leaves nothing of sign-ins at the same time: ${why}`, async () => {
    const sessions = sessionsIn(own);
    const term: Term = ['sid', server.issuer, `racing ${why}`];
    const content = contentOf(term[2]);
    const startedAt = Date.now() / 1000 - 1;
    const openAll = async () =>
      (
        await Promise.allSettled(
          Array.from({ length: 25 }, () => sessions.open(noCookies, content, '', startedAt)),
        )
      ).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [opened] = await Promise.all([
      openAll(),
      ...four.map((worker) => ask(worker, { store, term })),
    ]);
    for (const session of opened) expect(await sessions.reload(session)).toBeUndefined();
    expect(await ask(four[0], { store, term })).toEqual([0]);
  });
});

// The waits are for all stores at the same time.
describe('processes that share a store', () => {
  const present = stores.filter(({ missing }) => missing === undefined);
  /** How often each session's first refresh token was used. */
  const grantsOf = (sessions: readonly Session[]) =>
    sessions.map(
      ({ content }) =>
        server.grants.filter((form) => form.get('refresh_token') === content.refreshToken).length,
    );

  test('a process killed during a refresh does not block others for long', async () => {
    const dying = await startWorker(LEASE_OF_THE_DYING);
    const sessions = await Promise.all(present.map((store) => signIn(store)));
    server.leeway = true;
    server.delay = 60_000;
    for (const [i, store] of present.entries()) {
      ask(dying, { store, session: sessions[i]!, calls: 3 }).catch(() => {});
    }
    await until(() => server.grants.length === present.length);
    await end(dying);
    server.delay = 0;
    const values = await Promise.all(
      present.map((store, i) => askAll({ store, session: sessions[i]!, calls: 5 })),
    );
    for (const each of values) expect([...new Set(each)]).toEqual(ONE_TOKEN);
    expect(grantsOf(sessions)).toEqual(present.map(() => 2));
    expect(server.grants).toHaveLength(2 * present.length);
  });

  test('a grant slower than the lease is still the only one', async () => {
    const sessions = await Promise.all(present.map((store) => signIn(store)));
    // 1 second for one grant; the others wait for longer.
    server.delay = 500;
    const values = await Promise.all(
      present.map((store, i) => askAll({ store, session: sessions[i]!, calls: 5 })),
    );
    for (const each of values) expect([...new Set(each)]).toEqual(ONE_TOKEN);
    expect(grantsOf(sessions)).toEqual(present.map(() => 1));
    expect(server.grants).toHaveLength(present.length);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
