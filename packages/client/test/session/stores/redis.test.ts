import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals';
import { InvalidOptions } from '@koa-oauth/issuer';
import { REDIS_URL, whyNoRedis } from '../../../../../test/support/redis.ts';
import type { SessionStore } from '../../../src/session/session-store.ts';
import { type RedisStoreOptions, redisStore } from '../../../src/session/stores/redis.ts';
import { countTogether } from '../../support/processes.ts';
import { dropKeys, keysOf, newPrefix, redisClient } from '../../support/redis.ts';

const prefix = newPrefix();
const missing = await whyNoRedis();
const later = () => Math.floor(Date.now() / 1000) + 100;
const session = (expiresAt = later()) => ({
  sealed: 'SEALED',
  about: 'about',
  expiresAt,
  startedAt: expiresAt,
  terms: ['user'],
});

const opened: { close(): Promise<unknown> }[] = [];

function open(options: RedisStoreOptions = {}): SessionStore {
  const store = redisStore({ prefix, ...(options.client ? {} : { url: REDIS_URL }), ...options });
  opened.push(store);
  return store;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

afterAll(async () => {
  if (!missing) await dropKeys(prefix);
});

test.each([
  undefined,
  '',
  'redis://',
  'http://user:PASSWORD@host',
  'user:PASSWORD@host:6379',
  '/PASSWORD',
])('refuses %j for a url, and does not repeat it', (url) => {
  const make = () => redisStore({ url } as RedisStoreOptions);
  expect(make).toThrow(InvalidOptions);
  expect(make).not.toThrow(/PASSWORD/);
});

test('while Redis is away each call rejects, soon and without the password', async () => {
  const store = open({ url: 'redis://user:PASSWORD@127.0.0.1:1' });
  const error = await store.read('a').catch((reason: Error) => reason);
  expect(error).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('PASSWORD');
  // No queue: refused before the event loop has turned to another connection attempt.
  const calls = Array.from({ length: 100 }, (_, i) => store.once(`value-${i}`, later()));
  const results = await Promise.allSettled(calls);
  expect(results.every(({ status }) => status === 'rejected')).toBe(true);
});

test('rediss:// uses TLS, and rejects a server without it', async () => {
  const heard: Buffer[] = [];
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', (data) => {
        heard.push(data);
        socket.end('-ERR Protocol error\r\n');
      });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const store = open({ url: `rediss://127.0.0.1:${port}` });
  await expect(store.read('a')).rejects.toThrow(/^Redis: /);
  await store.close();
  server.close();
  // A handshake record (RFC 8446 §5.1).
  expect(heard[0]?.[0]).toBe(22);
});

(missing ? describe.skip : describe)(missing ? `with Redis: ${missing}` : 'with Redis', () => {
  test('nothing is kept for ever, and nothing less long than it lives', async () => {
    const store = open();
    const expiresAt = later();
    await store.create('a', session(expiresAt));
    await store.touch('a', expiresAt + 500);
    await store.once('value', expiresAt);
    const redis = redisClient();
    const lifetimes: Record<string, number> = {};
    for (const key of await keysOf(prefix)) {
      const [, kind = ''] = /:(\w+):[^:]*$/.exec(key) ?? [];
      lifetimes[kind] = Math.round((await redis.pexpiretime(key)) / 1000) - expiresAt;
    }
    redis.disconnect();
    // A session stays a minute longer, so that ending it late still answers it.
    expect(lifetimes.session).toBeGreaterThanOrEqual(559);
    expect(lifetimes.session).toBeLessThanOrEqual(561);
    expect(lifetimes.term).toBeGreaterThanOrEqual(499);
    expect(lifetimes.term).toBeLessThanOrEqual(501);
    expect(lifetimes.once).toBeGreaterThanOrEqual(-1);
    expect(lifetimes.once).toBeLessThanOrEqual(1);
    await store.destroy('a');
    const left = (await keysOf(prefix)).map((key) => key.slice(prefix.length).split(':')[0]);
    expect(left).toEqual(['once']);
  });

  test('what Redis itself let go is not listed, and no longer noted', async () => {
    const store = open();
    await store.create('evicted', session());
    await store.create('there', session());
    const redis = redisClient();
    await redis.del(`${prefix}session:evicted`);
    expect((await store.list('user')).map(({ key }) => key)).toEqual(['there']);
    expect(await redis.zrange(`${prefix}term:user`, '0', '-1')).toEqual(['there']);
    redis.disconnect();
    await store.destroy('there');
  });

  test('a client of one’s own is used as it is, and left open', async () => {
    const client = redisClient({ keyPrefix: prefix });
    const store = open({ client, prefix: 'own:' });
    await store.create('a', session());
    expect(await keysOf(`${prefix}own:`)).toHaveLength(2);
    await store.close();
    expect(await client.exists('own:session:a')).toBe(1);
    client.disconnect();
    opened.length = 0;
  });

  test('scripts that the server forgot are sent again', async () => {
    const store = open();
    await store.create('b', session());
    const redis = redisClient();
    await redis.script('FLUSH');
    redis.disconnect();
    expect(await store.read('b')).toMatchObject({ version: 1 });
    await store.destroy('b');
  });

  test('a user name and password of any characters sign in; wrong ones are not told', async () => {
    const user = `user-${prefix.slice(0, -1)}`;
    const password = 'p@ss/w:r#d %';
    const redis = redisClient();
    await redis.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '+@all');
    try {
      const url = new URL(REDIS_URL);
      url.username = user;
      const signIn = (secret: string) =>
        open({ url: url.href.replace(`${user}@`, `${user}:${encodeURIComponent(secret)}@`) });
      expect(await signIn(password).read('x')).toBeUndefined();
      const error = await signIn('WRONG-ONE')
        .read('x')
        .catch((reason: Error) => reason);
      expect(error).toMatchObject({ message: expect.stringContaining('WRONGPASS') });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/WRONG-ONE/);
    } finally {
      await redis.call('ACL', 'DELUSER', user);
      redis.disconnect();
    }
  });

  test('a command that Redis refuses is no way out for what it carried', async () => {
    const store = open();
    const redis = redisClient();
    await redis.set(`${prefix}session:wrong`, 'a string');
    redis.disconnect();
    const error = await store.create('wrong', session()).catch((reason: Error) => reason);
    expect(error).toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('SEALED');
  });

  test('a connection that breaks rejects the open calls, and is made again', async () => {
    const line = await startLine();
    const store = open({ url: line.url });
    await store.create('c', session());
    line.hold();
    const underWay = store.read('c');
    underWay.catch(() => {});
    await line.received();
    line.cut();
    await expect(underWay).rejects.toThrow(/^Redis: /);
    await expect(store.read('c')).rejects.toThrow(/^Redis: /);
    line.restore();
    await until(async () => (await store.read('c'))?.version === 1);
    await store.destroy('c');
    await line.close();
  });

  test('is found by those who started before it', async () => {
    const line = await startLine();
    line.cut();
    const store = open({ url: line.url });
    await expect(store.read('a')).rejects.toThrow(/^Redis: /);
    line.restore();
    await until(async () => (await store.read('a')) === undefined);
    await line.close();
  });

  test('a server that falls silent is given up after three seconds', async () => {
    const line = await startLine();
    const store = open({ url: line.url });
    await store.read('a');
    line.hold();
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'performance'],
    });
    const answer = store.read('a').catch((error: Error) => error.message);
    await line.received();
    jest.advanceTimersByTime(3000);
    expect(await answer).toBe('Redis: Command timed out');
    jest.useRealTimers();
    await store.close();
    opened.length = 0;
    await line.close();
  });

  test('processes that share it lose nothing', async () => {
    const module = new URL('../../../dist/session/stores/redis.js', import.meta.url).href;
    const options = JSON.stringify({ url: REDIS_URL, prefix: `${prefix}count:` });
    await countTogether(module, `redisStore(${options})`);
  });
});

/** A line to Redis that can be cut. */
async function startLine() {
  const { hostname, port } = new URL(REDIS_URL);
  const sockets = new Set<Socket>();
  let isCut = false;
  let isHeld = false;
  let onData = () => {};
  const server: Server = createServer((near) => {
    if (isCut) return near.destroy();
    const far = connect(Number(port || 6379), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => [near, far].map((each) => each.destroy()));
    }
    near.on('data', (data) => {
      onData();
      if (!isHeld) far.write(data);
    });
    far.on('data', (data) => near.write(data));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(REDIS_URL);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    hold() {
      isHeld = true;
    },
    received: () =>
      new Promise<void>((resolve) => {
        onData = resolve;
      }),
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    restore() {
      isCut = false;
      isHeld = false;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
