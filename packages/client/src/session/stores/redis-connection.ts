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
