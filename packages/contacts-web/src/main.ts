import { readSettings, type Service, serve } from '@koa-oauth/service';
import { createLogger } from '@koa-oauth/service/log';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import { createApp } from './app.ts';
import { openSessionStore, sessionSecret } from './session-store.ts';
import { Settings } from './settings.ts';

await serve({
  name: 'contacts-web',
  // The supervisor of `npm start` kills a service after 1.8 seconds.
  graceMs: 1000,
  deadlineMs: 1400,
  async start(service) {
    const settings = readSettings(Settings, process.env);
    const { port, host, baseURL } = settings;
    const logger = createLogger({ name: 'contacts-web', level: settings.logLevel });
    const traceRequests = settings.hasTelemetry ? await sendTelemetry(service, logger) : undefined;
    const secrets = settings.secrets.length > 0 ? settings.secrets : [sessionSecret('data')];
    const store = openSessionStore(settings.sessionStoreURL);
    service.onStop(() => store.close());
    const app = createApp({ ...settings, secrets, store, logger, traceRequests });
    const server = await service.listen({ port, host });
    server.on('request', app.callback());
    return `contacts web app: open ${baseURL} (listens on ${host}:${port})`;
  },
});

async function sendTelemetry(service: Service, logger: Logger): Promise<Middleware> {
  const { startTelemetry, traceRequests } = await import('@koa-oauth/service/telemetry');
  const { instrumentClient } = await import('@koa-oauth/client/otel');
  const telemetry = startTelemetry({ serviceName: 'contacts-web', logger });
  service.onStop(() => telemetry.stop());
  instrumentClient();
  return traceRequests();
}
