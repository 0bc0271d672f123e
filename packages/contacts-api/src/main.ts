import cluster from 'node:cluster';
import type { Server } from 'node:http';
import { createApp } from './app.ts';
import { createLogger } from './logger.ts';
import { rateLimits } from './rate-limits.ts';
import { createBoundedServer, listen, stop } from './server.ts';
import { InvalidSettings, readSettings, type Settings } from './settings.ts';
import { ContactStore } from './store/contact-store.ts';
import { migrate, openDatabase } from './store/database.ts';
import { addDemoContacts } from './store/demo-contacts.ts';
import { Workers } from './workers.ts';

try {
  const settings = readSettings(process.env);
  const many = settings.workers > 1;
  await (many && cluster.isPrimary ? runWorkers(settings) : runService(settings));
} catch (error) {
  process.stderr.write(`contacts-api: ${describe(error)}\n`);
  process.exit(1);
}

/** Serves, in this process. */
async function runService(settings: Settings): Promise<void> {
  const { port, host, demo } = settings;
  const logger = createLogger(settings.logLevel);
  const metrics = settings.metricsPort === undefined ? undefined : await import('./metrics.ts');

  const migrated = await migrate(settings.databaseURL).catch((cause: Error) => {
    throw new Error(`the database of DATABASE_URL does not answer: ${cause.message}`, { cause });
  });
  const database = openDatabase(settings.databaseURL);
  if (demo && migrated.includes('0001_contacts')) await addDemoContacts(new ContactStore(database));
  const limits = rateLimits({
    ...settings.rateLimits,
    onStoreChange: (state) => logger.warn(`the store of the rate limits: ${state}`),
  });

  const server = createBoundedServer();
  const actualPort = await listen(server, port, host);
  const { baseURL = `http://localhost:${actualPort}` } = settings;
  const app = createApp({ ...settings, baseURL, database, limits, logger, metrics });
  server.on('request', app.koa.callback());
  const metricsServer = cluster.isPrimary ? await startMetrics(settings) : undefined;

  onceToldToStop(async () => {
    app.markStopping();
    await stop(server);
    metricsServer?.close();
    await limits.close();
    await database.destroy();
  });
  announce(settings, actualPort);
}

/** Serves with several processes, and looks after them. */
async function runWorkers(settings: Settings): Promise<void> {
  const logger = createLogger(settings.logLevel);
  const workers = new Workers(settings.workers, (reason) => logger.error(reason));
  onceToldToStop(() => workers.stop());
  const port = await workers.start();
  await startMetrics(settings);
  announce(settings, port);
}

async function startMetrics({ metricsPort, host }: Settings): Promise<Server | undefined> {
  if (metricsPort === undefined) return undefined;
  const { metricsServer } = await import('./metrics.ts');
  const server = metricsServer();
  await listen(server, metricsPort, host).catch((cause: Error) => {
    throw new Error(`METRICS_PORT ${metricsPort} cannot be listened on: ${cause.message}`);
  });
  return server;
}

function onceToldToStop(end: () => Promise<void>): void {
  let stopping = false;
  const stopOnce = async () => {
    if (stopping) return;
    stopping = true;
    await end();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.on(signal, stopOnce);
}

function announce({ host }: Settings, port: number): void {
  if (cluster.isWorker) return;
  if (process.send) process.send('ready');
  else process.stdout.write(`contacts API listens on http://${host}:${port}\n`);
}

function describe(error: unknown): string {
  const { code, message, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  if (error instanceof InvalidSettings) return error.message;
  if (code === 'EADDRINUSE')
    return `port ${port} on ${address} is in use: stop what listens there or set PORT`;
  return `cannot start: ${message ?? error}`;
}
