import { createServer } from 'node:http';
import { fileStore, memoryStore, redisStore, type SessionStore } from '@koa-oauth/client';
import { pino } from 'pino';
import { createApp } from './app.ts';
import { keptSecret } from './session-secret.ts';
import { InvalidSettings, readSettings } from './settings.ts';

const GRACE = 1000;
const LIMIT = 1400;

try {
  await main();
} catch (error) {
  process.stderr.write(`contacts-web: ${describe(error)}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const { port, host, sessionStoreURL, logLevel, baseURL } = settings;
  const logger = pino({ name: 'contacts-web', level: logLevel });
  const secrets =
    settings.secrets.length > 0 ? settings.secrets : [keptSecret('data/session-secret')];
  const store = openStore(sessionStoreURL);

  const app = createApp({ ...settings, secrets, store, logger });
  // Longer than the proxy before it keeps them, which must never send to one that is closing.
  const server = createServer({ keepAliveTimeout: 65_000 }, app.callback());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });

  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    server.close(() => store.close().finally(() => process.exit(0)));
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), GRACE).unref();
    setTimeout(() => process.exit(0), LIMIT).unref();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.on(signal, stop);

  if (process.send) process.send('ready');
  else process.stdout.write(`contacts web app: open ${baseURL} (listens on ${host}:${port})\n`);
}

function openStore(url: string): SessionStore {
  if (url === 'memory:') return memoryStore();
  if (url.startsWith('file:')) return fileStore({ path: url.replace(/^file:/, '') });
  return redisStore({ url, prefix: 'contacts-web:' });
}

function describe(error: unknown): string {
  const { code, message, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  if (error instanceof InvalidSettings) return error.message;
  if (code === 'EADDRINUSE') {
    return `port ${port} on ${address} is in use: stop what listens there or set PORT`;
  }
  return `cannot start: ${message ?? error}`;
}
