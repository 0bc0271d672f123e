import { InvalidOptions, parseURL } from '@koa-oauth/issuer';
import {
  type ListedSession,
  MAX_SESSIONS_PER_TERM,
  type NewSession,
  type SessionStore,
  type SessionUpdate,
  type StoredSession,
  storeKey,
} from '../session-store.ts';
import { SCRIPTS } from './redis-scripts.ts';

/** Options of `redisStore`: either `url` or `client`. */
export interface RedisStoreOptions {
  /** `redis://` or, over TLS, `rediss://`, such as `rediss://user:password@redis.example:6380/0`. */
  url?: string | undefined;
  /** Instead of `url`: a client of ioredis, also one of a cluster. It stays open at `close`. */
  client?: RedisClient | undefined;
  /** Prefix of each key. Default: `koa-oauth:` */
  prefix?: string | undefined;
  /** Milliseconds since 1970. Default: the clock of the Redis server */
  now?: (() => number) | undefined;
}

/** A client of ioredis: `Redis` or `Cluster`, version 5 or later. */
export interface RedisClient {
  defineCommand(name: string, definition: { lua: string; numberOfKeys?: number }): void;
}

/**
 * Keeps sessions in Redis, for any number of processes and machines. It needs `ioredis` installed.
 *
 * While Redis is down, the app starts and runs, and each call rejects at once.
 *
 * @throws InvalidOptions at once without a valid `url` or a `client`
 * @example
 * import { redisStore } from '@koa-oauth/client/redis';
 *
 * const store = redisStore({ url: 'rediss://user:password@redis.example:6380/0' });
 * app.use(auth({ issuerBaseURL, baseURL, clientID, clientSecret, secret, session: { store } }));
 */
export function redisStore(options: RedisStoreOptions): SessionStore {
  return new RedisStore(options);
}

type Argument = string | number;
type Script = keyof typeof SCRIPTS;
type Commands = Record<Script, (key: string, ...rest: Argument[]) => Promise<unknown>>;

interface RedisConnection {
  readonly client: RedisClient;
  /** Returns the reason while Redis is down. */
  reasonDown(): string | undefined;
  disconnect(): void;
}

const SESSION = ['sealed', 'about', 'expiresAt', 'version'] as const;

class RedisStore implements SessionStore {
  readonly #prefix: string;
  readonly #now: (() => number) | undefined;
  readonly #connecting: ReturnType<typeof connect>;

  constructor(options: RedisStoreOptions) {
    const { prefix = 'koa-oauth:', now } = options;
    this.#prefix = prefix;
    this.#now = now;
    this.#connecting = connect(options);
    // Each call reports the failure; before the first there is no caller.
    this.#connecting.catch(() => {});
  }

  async create(
    key: string,
    { sealed, about, expiresAt, startedAt, terms }: NewSession,
  ): Promise<boolean> {
    const fields = [sealed, about, expiresAt, JSON.stringify(terms)];
    const created = await this.#run('koaOauthCreate', this.#sessionKey(key), ...fields);
    if (created !== 1) throw new Error('the session exists already');
    // No browser has its id yet, so it does no harm if the rest fails.
    const crowded = await this.#addToTerms(terms, key, expiresAt);
    await Promise.all(crowded.map((other) => this.destroy(other)));
    // After it is stored: an end at the same time finds the session, or is found here.
    const ends = await Promise.all(
      terms.map((term) => this.#run('koaOauthReadEnd', this.#endKey(term))),
    );
    const isOpen = !ends.some((endedAt) => startedAt < Number(endedAt ?? 0));
    if (!isOpen) await this.destroy(key);
    return isOpen;
  }

  async read(key: string): Promise<StoredSession | undefined> {
    return toStored(await this.#run('koaOauthRead', this.#sessionKey(key), ...SESSION));
  }

  async update(
    key: string,
    expectedVersion: number,
    { sealed, expiresAt }: SessionUpdate,
    fence?: number,
  ): Promise<boolean> {
    await this.#prolongTerms(key, expiresAt);
    const fields = [expectedVersion, sealed, expiresAt, fence ?? ''];
    return (await this.#run('koaOauthUpdate', this.#sessionKey(key), ...fields)) === 1;
  }

  async touch(key: string, expiresAt: number): Promise<void> {
    await this.#prolongTerms(key, expiresAt);
    await this.#run('koaOauthTouch', this.#sessionKey(key), expiresAt);
  }

  async destroy(key: string): Promise<StoredSession | undefined> {
    const last = await this.#run('koaOauthDestroy', this.#sessionKey(key), ...SESSION, 'terms');
    const terms = toFields(last)?.[SESSION.length];
    const forget = (term: string) => this.#run('koaOauthDropFromTerm', this.#termKey(term), key);
    // The session has ended; `list` removes it from terms where this failed.
    await Promise.allSettled(terms ? (JSON.parse(terms) as string[]).map(forget) : []);
    return toStored(last);
  }

  async list(term: string): Promise<ListedSession[]> {
    for (;;) {
      const reply = await this.#run('koaOauthListTerm', this.#termKey(term), MAX_SESSIONS_PER_TERM);
      const keys = toFields(reply) ?? [];
      const found = await Promise.all(keys.map((key) => this.#describe(key, term)));
      const gone = keys.filter((_key, i) => !found[i]);
      if (gone.length === 0) return found as ListedSession[];
      await this.#run('koaOauthDropFromTerm', this.#termKey(term), ...gone);
    }
  }

  async destroyAll(term: string, exceptKey?: string): Promise<number> {
    let total = 0;
    // A list has a part of the sessions if an older version stored more.
    for (;;) {
      const others = (await this.list(term)).filter(({ key }) => key !== exceptKey);
      if (others.length === 0) return total;
      const ended = await Promise.all(others.map(({ key }) => this.destroy(key)));
      total += ended.filter((session) => session !== undefined).length;
    }
  }

  async recordEnd(term: string, endedAt: number, expiresAt: number): Promise<void> {
    await this.#run('koaOauthRecordEnd', this.#endKey(term), endedAt, expiresAt);
  }

  async acquire(key: string, milliseconds: number): Promise<number | undefined> {
    const fence = await this.#run('koaOauthAcquire', this.#sessionKey(key), milliseconds);
    return (fence as number | null) ?? undefined;
  }

  async extend(key: string, fence: number, milliseconds: number): Promise<boolean> {
    return (await this.#run('koaOauthExtend', this.#sessionKey(key), fence, milliseconds)) === 1;
  }

  async release(key: string, fence: number): Promise<void> {
    await this.#run('koaOauthRelease', this.#sessionKey(key), fence);
  }

  async once(value: string, expiresAt: number): Promise<boolean> {
    // The value may have any length and any characters, unlike the other keys.
    const key = `${this.#prefix}once:${storeKey(value)}`;
    return (await this.#run('koaOauthOnce', key, expiresAt)) === 1;
  }

  async close(): Promise<void> {
    await this.#connecting.then(({ disconnect }) => disconnect());
  }

  #sessionKey(key: string): string {
    return `${this.#prefix}session:${key}`;
  }

  #termKey(term: string): string {
    return `${this.#prefix}term:${term}`;
  }

  #endKey(term: string): string {
    return `${this.#prefix}end:${term}`;
  }

  async #run(script: Script, key: string, ...rest: readonly Argument[]): Promise<unknown> {
    const { commands, reasonDown } = await this.#connecting;
    try {
      return await commands[script](key, this.#now ? this.#now() : '', ...rest);
    } catch (error) {
      // The error is not the cause: it contains the command and the session.
      throw new Error(`Redis: ${reasonDown() ?? reasonOf(error)}`);
    }
  }

  /** Runs before the expiry moves: a term must outlive its sessions. */
  async #prolongTerms(key: string, expiresAt: number): Promise<void> {
    const reply = await this.#run('koaOauthRead', this.#sessionKey(key), 'terms');
    const [terms] = toFields(reply) ?? [];
    await this.#addToTerms(terms ? (JSON.parse(terms) as string[]) : [], key, expiresAt);
  }

  /** @returns the other sessions to end: of each term with too many, those that expire first */
  async #addToTerms(terms: readonly string[], key: string, until: number): Promise<string[]> {
    const crowded = await Promise.all(
      terms.map(async (term) => {
        const fields = [key, until, MAX_SESSIONS_PER_TERM];
        const reply = await this.#run('koaOauthAddToTerm', this.#termKey(term), ...fields);
        const first = toFields(reply) ?? [];
        return first.filter((each) => each !== key).slice(0, Math.max(first.length - 1, 0));
      }),
    );
    return crowded.flat();
  }

  async #describe(key: string, term: string): Promise<ListedSession | undefined> {
    const fields = ['about', 'expiresAt', 'terms'];
    const reply = await this.#run('koaOauthRead', this.#sessionKey(key), ...fields);
    const [about = '', expiresAt, terms = '[]'] = toFields(reply) ?? [];
    if (!(JSON.parse(terms) as string[]).includes(term)) return undefined;
    return { key, about, expiresAt: Number(expiresAt) };
  }
}

function connect({ url, client }: RedisStoreOptions) {
  const isURL = parseURL(url) !== undefined && /^rediss?:\/\/./.test(String(url));
  // The message does not repeat the URL: it may contain a password.
  if (!client && !isURL) throw new InvalidOptions('redisStore: url must be redis:// or rediss://');
  const connecting: Promise<RedisConnection> = client
    ? Promise.resolve({ client, reasonDown: () => undefined, disconnect: () => {} })
    : connectRedis(url as string);
  return connecting.then(({ client, ...connection }) => {
    for (const [name, lua] of Object.entries(SCRIPTS)) {
      client.defineCommand(name, { lua, numberOfKeys: 1 });
    }
    return { ...connection, commands: client as unknown as Commands };
  });
}

function toFields(reply: unknown): string[] | undefined {
  return Array.isArray(reply) ? reply : undefined;
}

function toStored(reply: unknown): StoredSession | undefined {
  const [sealed = '', about = '', expiresAt, version] = toFields(reply) ?? [];
  return reply
    ? { sealed, about, expiresAt: Number(expiresAt), version: Number(version) }
    : undefined;
}

/** Returns the message without the command, which servers repeat when they refuse it. */
function reasonOf(error: unknown): string {
  return String((error as Error).message).split(', with args')[0] ?? '';
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
async function connectRedis(url: string): Promise<RedisConnection> {
  // ioredis is slow to load.
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // Detects a server that is gone without closing the connection.
    socketTimeout: 2 * COMMAND_TIMEOUT_MS,
    // A closed store holds the process no longer than this.
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    // A command may have run already: a second `acquire` would find the lease held.
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
