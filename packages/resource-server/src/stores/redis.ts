import { InvalidOptions, parseURL } from '@koa-oauth/issuer';
import { type ExpiringSet, newSecret, SECRET_KEY, secondsLeft, shortKey } from './expiring-set.ts';

/** Options of `redisSet`: either `url` or `client`. */
export interface RedisSetOptions {
  /** `redis://` or, over TLS, `rediss://`, such as `rediss://user:password@redis.example:6380/0`. */
  url?: string | undefined;
  /** Instead of `url`: a client of ioredis, also one of a cluster. It stays open at `close`. */
  client?: RedisClient | undefined;
  /** Prefix of each key. Default: `koa-oauth:set:` */
  prefix?: string | undefined;
}

/** A client of ioredis: `Redis` or `Cluster`, version 5 or later. */
export interface RedisClient {
  call(command: string, ...rest: (string | number)[]): Promise<unknown>;
  readonly isCluster?: boolean;
}

/** A higher number and a longer time stay. KEYS: the key. ARGV: number, milliseconds. */
const RAISE = `
local there = redis.call('GET', KEYS[1])
local number = ARGV[1]
if there and tonumber(there) and tonumber(there) > tonumber(number) then number = there end
local ttl = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], number, 'PX', ttl)`;

/**
 * Keeps keys in Redis, for any number of processes and machines. It needs `ioredis` installed, and a
 * server that removes no key before its time (`maxmemory-policy noeviction`).
 *
 * While Redis is down, the app starts and runs, and each call rejects at once.
 *
 * @throws InvalidOptions at once without a valid `url` or a `client`
 * @example
 * import { redisSet } from '@koa-oauth/resource-server/redis';
 *
 * const store = redisSet({ url: 'rediss://user:password@redis.example:6380/0' });
 * app.use(auth({ issuerBaseURL, audience, dpop: { baseURL, store } }));
 */
export function redisSet(options: RedisSetOptions): ExpiringSet {
  return new RedisSet(options);
}

interface RedisConnection {
  readonly client: RedisClient;
  /** Returns the reason while Redis is down. */
  reasonDown(): string | undefined;
  disconnect(): void;
}

class RedisSet implements ExpiringSet {
  readonly #prefix: string;
  readonly #connecting: Promise<RedisConnection>;

  constructor({ url, client, prefix = 'koa-oauth:set:' }: RedisSetOptions) {
    const isURL = parseURL(url) !== undefined && /^rediss?:\/\/./.test(String(url));
    // The message does not repeat the URL: it may contain a password.
    if (!client && !isURL) throw new InvalidOptions('redisSet: url must be redis:// or rediss://');
    this.#prefix = prefix;
    this.#connecting = client
      ? Promise.resolve({ client, reasonDown: () => undefined, disconnect: () => {} })
      : connect(url as string);
    // Each call reports the failure; before the first there is no caller.
    this.#connecting.catch(() => {});
  }

  async add(key: string, until: number): Promise<boolean> {
    return (await this.#call('SET', this.#name(key), '', 'PX', ttlMs(until), 'NX')) === 'OK';
  }

  async has(key: string): Promise<boolean> {
    return (await this.#call('EXISTS', this.#name(key))) === 1;
  }

  async setIfGreater(key: string, number: number, until: number): Promise<void> {
    await this.#call('EVAL', RAISE, 1, this.#name(key), number, ttlMs(until));
  }

  async getNumbers(keys: readonly string[]): Promise<readonly (number | undefined)[]> {
    const names = keys.map((key) => this.#name(key));
    const { client } = await this.#connecting;
    // The keys may be on several nodes of a cluster.
    const values = client.isCluster
      ? await Promise.all(names.map((name) => this.#call('GET', name)))
      : ((await this.#call('MGET', ...names)) as unknown[]);
    return values.map((value) => (value ? Number(value) : undefined));
  }

  async sharedSecret(): Promise<string> {
    const name = this.#prefix + SECRET_KEY;
    await this.#call('SET', name, newSecret(), 'NX');
    return String(await this.#call('GET', name));
  }

  async close(): Promise<void> {
    await this.#connecting.then(({ disconnect }) => disconnect());
  }

  #name(key: string): string {
    return this.#prefix + shortKey(key);
  }

  async #call(command: string, ...rest: (string | number)[]): Promise<unknown> {
    const { client, reasonDown } = await this.#connecting;
    try {
      return await client.call(command, ...rest);
    } catch (error) {
      // The error is not the cause: it contains the command. Servers repeat it when they refuse it.
      const [reason] = String((error as Error).message).split(', with args');
      throw new Error(`Redis: ${reasonDown() ?? reason}`);
    }
  }
}

function ttlMs(until: number): number {
  return Math.ceil(1000 * secondsLeft(until, Date.now() / 1000));
}

const CONNECT_TIMEOUT_MS = 3000;
/** Longer than a request waits: an answer counts that arrives while the process is busy. */
const COMMAND_TIMEOUT_MS = 3000;
const DISCONNECT_TIMEOUT_MS = 200;

/**
 * Connects, and connects again after each loss of the connection. Without a connection commands fail at
 * once, so that none wait for a server that is down.
 *
 * @returns after the first attempt, successful or not
 */
async function connect(url: string): Promise<RedisConnection> {
  // ioredis is slow to load.
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // Detects a server that is gone without closing the connection.
    socketTimeout: 2 * COMMAND_TIMEOUT_MS,
    // A closed set holds the process no longer than this.
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    // A command may have run already: its key would no longer be new.
    autoResendUnfulfilledCommands: false,
    // A server that became a replica rejects writes: its name may resolve to the new primary.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  });
  let reason: string | undefined;
  // Without a listener the event would end the process.
  redis.on('error', ({ message }: Error) => {
    reason = message;
  });
  redis.on('ready', () => {
    reason = undefined;
  });
  await new Promise<void>((resolve) => {
    redis.once('ready', resolve);
    redis.once('close', resolve);
  });
  return {
    client: redis,
    reasonDown: () => (redis.status === 'ready' ? undefined : (reason ?? 'no connection')),
    disconnect: () => redis.disconnect(),
  };
}
