import cluster from 'node:cluster';
import { readSettings, serve } from '@koa-oauth/service';
import { Settings } from './settings.ts';
import { startApi } from './start.ts';
import { startWorkers } from './workers.ts';

await serve({
  name: 'contacts-api',
  graceMs: 10_000,
  async start(service) {
    const settings = readSettings(Settings, process.env);
    const hasWorkers = settings.workers > 1 && cluster.isPrimary;
    return (hasWorkers ? startWorkers : startApi)(settings, service);
  },
});
