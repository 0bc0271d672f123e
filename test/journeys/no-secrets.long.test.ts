import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sqliteStore } from '@koa-oauth/client/sqlite';
import { Redis } from 'ioredis';
import { FormBrowser } from '../support/form-browser.ts';
import { proves } from '../support/proves.ts';
import { REDIS_URL, whyNoRedis } from '../support/redis.ts';
import { findSecrets, type Place, type Secret } from '../support/secret-search.ts';
import { type Stage, startStage } from '../support/secret-stage.ts';
import { secretsOf, seenByBrowsers, sessionKeysOf } from '../support/secrets-of-a-run.ts';
import { filesIn, keysIn } from '../support/store-contents.ts';
import { signIn, useEverything } from '../support/use-everything.ts';

const PREFIX = 'contacts-web:';

const noRedis = await whyNoRedis();
// A separate database, because the prefix of the app is fixed.
const redisURL = new URL('/15', REDIS_URL).href;

describe('a store in a file', () => {
  const stage = wholeRun('file:./sessions.db', ({ dir }) => filesIn(dir));

  test('the search reads the file and its write-ahead log', async () => {
    const { dir } = stage();
    const planted = { kind: 'planted', value: 'a-value-that-was-put-there' };
    const store = sqliteStore({ path: `${dir}/sessions.db` });
    const startedAt = Date.now() / 1000;
    const times = { startedAt, expiresAt: startedAt + 60 };
    await store.create('k', { sealed: planted.value, about: '', ...times, terms: [] });
    const found = findSecrets([planted], await filesIn(dir));
    expect(found).toEqual(['planted in the file sessions.db-wal, as it is']);
    await store.close();
  });
});

describe('a store in a file, and tokens that are bound to a key', () => {
  wholeRun('file:./sessions.db', ({ dir }) => filesIn(dir), { DPOP: 'true' });
});

(noRedis ? describe.skip : describe)(`a store in Redis${noRedis ? `: ${noRedis}` : ''}`, () => {
  let redis: Redis;
  const known = new Set<string>();
  beforeAll(async () => {
    redis = new Redis(redisURL);
    for (const key of await redis.keys(`${PREFIX}*`)) known.add(key);
  });
  afterAll(async () => {
    const made = (await redis.keys(`${PREFIX}*`)).filter((key) => !known.has(key));
    if (made.length > 0) await redis.del(...made);
    redis.disconnect();
  });

  wholeRun(redisURL, async ({ dir }) => [
    ...(await keysIn(redis, PREFIX)),
    ...(await filesIn(dir)),
  ]);

  test('the search reads Redis', async () => {
    const planted = { kind: 'planted', value: 'a-value-that-was-put-there' };
    await redis.hset(`${PREFIX}planted`, { sealed: planted.value });
    const found = findSecrets([planted], await keysIn(redis, PREFIX));
    expect(found).toEqual(['planted in a value in Redis, as it is']);
  });
});

test('the search finds the tokens of an app that shows them', async () => {
  const stage = await startStage('memory:', { SHOW_TOKENS: 'yes' });
  try {
    const alice = new FormBrowser({ userAgent: 'alice' });
    await signIn(stage, alice, 'alice');
    await alice.open(`${stage.toWeb.url}/session`);
    const found = findSecrets(secretsOf(stage).credentials, seenByBrowsers(stage).all);
    expect(found).toContain('access token in the body of GET /session, as it is');
  } finally {
    await stage.stop();
  }
});

/** Uses the apps in every way, then looks for secrets in all pages, logs and stores. */
function wholeRun(
  sessionStoreURL: string,
  dump: (stage: Stage) => Promise<Place[]>,
  settings: Record<string, string> = {},
): () => Stage {
  let stage: Stage;
  const stored: Place[] = [];
  const sessionKeys = new Map<string, Secret>();
  const keep = async () => {
    stored.push(...(await dump(stage)));
    const keys = stage.isBound ? await sessionKeysOf(stage) : [];
    for (const key of keys) sessionKeys.set(key.value, key);
  };
  const credentialsOf = () => [...secretsOf(stage).credentials, ...sessionKeys.values()];
  const allSecretsOf = () => {
    const { cookies, signIns } = secretsOf(stage);
    return [...credentialsOf(), ...cookies, ...[...signIns.values()].flat()];
  };

  beforeAll(async () => {
    stage = await startStage(sessionStoreURL, settings);
    await useEverything(stage, keep);
  });
  afterAll(() => stage?.stop());

  test('the run had secrets of every kind', () => {
    const { cookies, signIns } = secretsOf(stage);
    const counts = new Map<string, number>();
    for (const { kind, value } of credentialsOf()) {
      expect([kind, value.length >= 16]).toEqual([kind, true]);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({
      'client secret': 1,
      'cookie secret': 1,
      password: 3,
      code: expect.any(Number),
      verifier: expect.any(Number),
      'access token': expect.any(Number),
      'refresh token': expect.any(Number),
      'ID token': expect.any(Number),
      'logout token': 1,
      ...(stage.isBound && { proof: expect.any(Number), 'session key': expect.any(Number) }),
    });
    const kinds = ['code', 'verifier', 'access token', 'refresh token', 'ID token'];
    for (const kind of stage.isBound ? [...kinds, 'proof'] : kinds) {
      expect([kind, (counts.get(kind) ?? 0) >= 3]).toEqual([kind, true]);
    }
    expect(cookies.length).toBeGreaterThan(6);
    expect([...signIns.keys()].sort()).toEqual(['alice', 'bob', 'carol']);
  });

  test('no page, header or redirect has a token, code, verifier, secret, password, proof or key', () => {
    proves('ASVS 10.1.1');
    expect(findSecrets(credentialsOf(), seenByBrowsers(stage).all)).toEqual([]);
  });

  test('no page has the value of a cookie', () => {
    expect(findSecrets(secretsOf(stage).cookies, seenByBrowsers(stage).bodies)).toEqual([]);
  });

  test("no browser sees the state or nonce of another's sign-in", () => {
    for (const [browser, secrets] of secretsOf(stage).signIns) {
      const others = seenByBrowsers(stage, (name) => name !== browser).all;
      expect(others.length).toBeGreaterThan(10);
      expect(findSecrets(secrets, others)).toEqual([]);
    }
  });

  test('no log has any of them', () => {
    proves('RFC 6750 §5.1 disclosure');
    const logs = stage.logs();
    for (const { name, text } of logs) expect([name, text.length > 200]).toEqual([name, true]);
    expect(findSecrets(allSecretsOf(), logs)).toEqual([]);
  });

  test('the store has none of them', () => {
    expect(stored.length).toBeGreaterThan(3);
    expect(findSecrets(allSecretsOf(), stored)).toEqual([]);
  });

  test('the search finds a name', () => {
    const name = { kind: 'name', value: 'Alice Adams' };
    expect(findSecrets([name], seenByBrowsers(stage).bodies)).toContain(
      'name in the body of GET /contacts, as it is',
    );
    const [cookie] = secretsOf(stage).cookies;
    expect(findSecrets([cookie as Secret], seenByBrowsers(stage).all)).not.toEqual([]);
    const path = { kind: 'path', value: 'not-a-page-of-this-app' };
    expect(findSecrets([path], stage.logs())).toEqual(['path in the log of the web app, as it is']);
  });
  return () => stage;
}
