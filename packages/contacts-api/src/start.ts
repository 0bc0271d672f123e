import cluster from 'node:cluster';
import type { ExpiringSet } from '@koa-oauth/resource-server';
import { postgresSet } from '@koa-oauth/resource-server/postgres';
import { redisSet } from '@koa-oauth/resource-server/redis';
import type { Service } from '@koa-oauth/service';
import { createLogger } from '@koa-oauth/service/log';
import type { Middleware } from 'koa';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { createApp } from './app.ts';
import { RateLimits } from './http/rate-limits.ts';
import type { Settings } from './settings.ts';
import { ContactStore } from './store/contact-store.ts';
import { migrate, openDatabase } from './store/database.ts';
import { addDemoContacts } from './store/demo-contacts.ts';

/** Room for the largest access token, 16 kB, and the other headers. */
const MAX_HEADER_BYTES = 24 * 1024;

/** Serves the API in this process. @returns the line to print; undefined in a worker */
export async function startApi(settings: Settings, service: Service): Promise<string | undefined> {
  const { port, host, isDemo, metricsPort, storeURL } = settings;
  const logger = openLog(settings);
  // Loading the module registers its metrics, which then cost something on every request.
  const metrics = metricsPort === undefined ? undefined : await import('./http/metrics.ts');
  const traceRequests = settings.hasTelemetry ? await sendTelemetry(service, logger) : undefined;

  const migrations = await migrate(settings.databaseURL).catch((cause: Error) => {
    throw new Error(
      `the database can't be opened or migrated: ${cause.message}; check DATABASE_URL`,
      { cause },
    );
  });
  const database = openDatabase(settings.databaseURL);
  service.onStop(() => database.destroy());
  const isNewDatabase = migrations.includes('0001_contacts');
  if (isDemo && isNewDatabase) await addDemoContacts(new ContactStore(database));
  const limits = createLimits(settings, logger);
  service.onStop(() => limits.close());
  const store = openSet(storeURL);
  service.onStop(() => store?.close());
  if (cluster.isPrimary) await startMetrics(settings, service);

  const server = await service.listen({ port, host, maxHeaderBytes: MAX_HEADER_BYTES });
  const { baseURL = `http://localhost:${server.port}` } = settings;
  const sets = { usedProofs: store, revokedTokens: store };
  const parts = { database, limits, ...sets, logger, metrics, traceRequests };
  const app = createApp({ ...settings, baseURL, ...parts });
  server.on('request', app.koa.callback());
  // Registered last, so that it runs first, while the server still answers `/readyz`.
  service.onStop(() => app.markStopping());
  return cluster.isWorker ? undefined : listeningLine(settings, server.port);
}

async function sendTelemetry(service: Service, logger: Logger): Promise<Middleware> {
  const { startTelemetry, traceRequests } = await import('@koa-oauth/service/telemetry');
  const { instrumentResourceServer } = await import('@koa-oauth/resource-server/otel');
  const telemetry = startTelemetry({ serviceName: 'contacts-api', logger });
  service.onStop(() => telemetry.stop());
  instrumentResourceServer();
  return traceRequests({ continueTrace: true });
}

function createLimits({ rateLimits, storeURL }: Settings, logger: Logger): RateLimits {
  return new RateLimits({
    ...rateLimits,
    storeURL,
    onStoreChange(isReachable) {
      logger.warn(
        isReachable
          ? 'the store of the rate limits is reachable'
          : 'the store of the rate limits is unreachable: each process counts by itself',
      );
    },
  });
}

/**
 * Opens the set of all processes. In memory there are two, the defaults of the library: the memory is
 * limited, and many proofs must not keep out a revocation.
 */
function openSet(url: string): ExpiringSet | undefined {
  if (url.startsWith('memory:')) return undefined;
  return url.startsWith('postgres') ? postgresSet({ url }) : redisSet({ url });
}

export async function startMetrics(
  { metricsPort, host }: Settings,
  service: Service,
): Promise<void> {
  if (metricsPort === undefined) return;
  const { answerMetrics } = await import('./http/metrics.ts');
  const server = await service.listen({ port: metricsPort, host, setting: 'METRICS_PORT' });
  server.on('request', answerMetrics);
}

export function openLog({ logLevel }: Settings): Logger {
  const options = { name: 'contacts-api', level: logLevel };
  return process.stdout.isTTY
    ? pino(options, PinoPretty({ sync: true, singleLine: true, ignore: 'pid,hostname' }))
    : createLogger(options);
}

export function listeningLine({ host }: Settings, port: number): string {
  return `contacts API listens on http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
