import { createHash } from 'node:crypto';
import { InvalidOptions } from '@koa-oauth/issuer';
import type { ListedSession, SessionStore, StoredSession } from '../session-store.ts';
import { SCRIPTS } from './redis-scripts.ts';

/** Options of `redisStore`: either `url` or `client`. */
export interface RedisStoreOptions {
  /** `redis://` or, over TLS, `rediss://`, such as `rediss://user:password@redis.example:6380/0`. */
  url?: string;
  /** In place of `url`: a client of ioredis, also one of a cluster. It stays open at `close`. */
  client?: RedisClient;
  /** Before each key. Default: `koa-oauth:` */
  prefix?: string;
  /** Milliseconds since 1970. Default: the clock of the Redis server */
  now?: () => number;
}

type Argument = string | number;
type Script = keyof typeof SCRIPTS;
type Commands = Record<Script, (key: string, ...rest: Argument[]) => Promise<unknown>>;

const MAX_LISTED = 1000;
const SESSION = ['sealed', 'about', 'expiresAt', 'version'] as const;

/**
 * Keeps sessions in Redis, for any number of processes and machines. Starts, and goes on, while
 * Redis is away: each call then rejects at once, until the connection is back.
 *
 * @throws InvalidOptions at once when there is neither a `url` that can be one nor a `client`
 */
export function redisStore(options: RedisStoreOptions): SessionStore {
  const { prefix = 'koa-oauth:', now } = options;
  const connecting = connect(options);
  // Whoever calls is told; until then there is nobody to tell.
  connecting.catch(() => {});

  const sessionKey = (key: string) => `${prefix}session:${key}`;
  const termKey = (term: string) => `${prefix}term:${term}`;
  // Of any length and any characters, unlike the others.
  const onceKey = (value: string) =>
    `${prefix}once:${createHash('sha256').update(value).digest('base64url')}`;

  async function run(script: Script, key: string, ...rest: readonly Argument[]): Promise<unknown> {
    const { commands, whyAway } = await connecting;
    try {
      return await commands[script](key, now ? now() : '', ...rest);
    } catch (error) {
      // Not as its cause: it carries the command, and with it what was to be kept.
      throw new Error(`Redis: ${whyAway() ?? reasonOf(error)}`);
    }
  }

  /** Before its expiry moves: the term must not let a session go that still lives. */
  async function noteTerms(key: string, expiresAt: number): Promise<void> {
    const [terms] = toFields(await run('koaOauthRead', sessionKey(key), 'terms')) ?? [];
    await noteUnder(terms ? (JSON.parse(terms) as string[]) : [], key, expiresAt);
  }

  async function noteUnder(terms: readonly string[], key: string, until: number): Promise<void> {
    await Promise.all(terms.map((term) => run('koaOauthNote', termKey(term), key, until)));
  }

  async function describe(key: string, term: string): Promise<ListedSession | undefined> {
    const reply = await run('koaOauthRead', sessionKey(key), 'about', 'expiresAt', 'terms');
    const [about = '', expiresAt, terms = '[]'] = toFields(reply) ?? [];
    if (!(JSON.parse(terms) as string[]).includes(term)) return undefined;
    return { key, about, expiresAt: Number(expiresAt) };
  }

  return {
    async create(key, { sealed, about, expiresAt, terms }) {
      const fields = [sealed, about, expiresAt, JSON.stringify(terms)];
      const created = await run('koaOauthCreate', sessionKey(key), ...fields);
      if (created !== 1) throw new Error('the session exists already');
      // Nobody has its key yet, so it does no harm if this fails.
      await noteUnder(terms, key, expiresAt);
    },
    async read(key) {
      return toSession(await run('koaOauthRead', sessionKey(key), ...SESSION));
    },
    async update(key, expectedVersion, { sealed, expiresAt }, fence) {
      await noteTerms(key, expiresAt);
      const fields = [expectedVersion, sealed, expiresAt, fence ?? ''];
      return (await run('koaOauthUpdate', sessionKey(key), ...fields)) === 1;
    },
    async touch(key, expiresAt) {
      await noteTerms(key, expiresAt);
      await run('koaOauthTouch', sessionKey(key), expiresAt);
    },
    async destroy(key) {
      const last = await run('koaOauthDestroy', sessionKey(key), ...SESSION, 'terms');
      const terms = toFields(last)?.[SESSION.length];
      const forget = (term: string) => run('koaOauthForget', termKey(term), key);
      // It has ended; a term that still names it is put right when it is listed.
      await Promise.allSettled(terms ? (JSON.parse(terms) as string[]).map(forget) : []);
      return toSession(last);
    },
    async list(term) {
      for (;;) {
        const keys = toFields(await run('koaOauthNoted', termKey(term), MAX_LISTED)) ?? [];
        const found = await Promise.all(keys.map((key) => describe(key, term)));
        const gone = keys.filter((_key, i) => !found[i]);
        if (gone.length === 0) return found as ListedSession[];
        await run('koaOauthForget', termKey(term), ...gone);
      }
    },
    async acquire(key, milliseconds) {
      return ((await run('koaOauthAcquire', sessionKey(key), milliseconds)) as number) ?? undefined;
    },
    async extend(key, fence, milliseconds) {
      return (await run('koaOauthExtend', sessionKey(key), fence, milliseconds)) === 1;
    },
    async release(key, fence) {
      await run('koaOauthRelease', sessionKey(key), fence);
    },
    async once(value, expiresAt) {
      return (await run('koaOauthOnce', onceKey(value), expiresAt)) === 1;
    },
    async close() {
      await connecting.then(({ disconnect }) => disconnect());
    },
  };
}

function connect({ url, client }: RedisStoreOptions) {
  const isURL = typeof url === 'string' && /^rediss?:\/\/./.test(url) && URL.canParse(url);
  // Not with what was given: it may hold a password.
  if (!client && !isURL) throw new InvalidOptions('redisStore: url must be redis:// or rediss://');
  const connecting: Promise<RedisConnection> = client
    ? Promise.resolve({ client, whyAway: () => undefined, disconnect: () => {} })
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

function toSession(reply: unknown): StoredSession | undefined {
  const [sealed = '', about = '', expiresAt, version] = toFields(reply) ?? [];
  return reply
    ? { sealed, about, expiresAt: Number(expiresAt), version: Number(version) }
    : undefined;
}

/** Servers quote a command they refuse. */
function reasonOf(error: unknown): string {
  return String((error as Error).message).split(', with args')[0] ?? '';
}

/** A client of ioredis: `Redis` or `Cluster`, version 5 or later. */
export interface RedisClient {
  defineCommand(name: string, definition: { lua: string; numberOfKeys?: number }): void;
}

export interface RedisConnection {
  readonly client: RedisClient;
  /** Why it is away, while it is. */
  whyAway(): string | undefined;
  disconnect(): void;
}

const CONNECT_TIMEOUT = 3000;
const COMMAND_TIMEOUT = 2000;

/**
 * Connects, and connects again whenever the connection was lost. Commands fail at once while there
 * is none: nothing queues up for a server that is away.
 *
 * @returns once the first attempt has gone well or not
 */
export async function connectRedis(url: string): Promise<RedisConnection> {
  // Loaded by those who use it: it takes longer to load than all else here together.
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: COMMAND_TIMEOUT,
    // A server that has gone without a word, too, is to be connected to anew.
    socketTimeout: 2 * COMMAND_TIMEOUT,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    // What was sent may have been done: sent twice, a lease would be found taken by oneself.
    autoResendUnfulfilledCommands: false,
    // A server that became a replica takes no writes: its name may lead to the new primary by now.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  });
  let reason: string | undefined;
  // Unheard, the event would end the process.
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
    whyAway: () => (redis.status === 'ready' ? undefined : (reason ?? 'no connection')),
    disconnect: () => redis.disconnect(),
  };
}
