#!/usr/bin/env node
import { pino } from 'pino';
import { surviveStrayFailures } from './actions/stray-failures.ts';
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts';
import { StartError } from './errors.ts';
import { readSettings } from './settings.ts';
import { startBlock } from './start-block.ts';
import { loadTenant } from './tenant/load.ts';

try {
  await run();
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function run(): Promise<void> {
  const settings = readSettings(process.env);
  const tenant = loadTenant(settings.tenant);
  const logger = pino({ level: settings.logLevel });
  surviveStrayFailures(logger);

  let server: AuthorizationServer | undefined;
  let stopping = false;
  const stop = (reason: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ reason }, 'stopping');
    void Promise.resolve(server?.close()).finally(() => process.exit(0));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // A parent that died without a word closes this channel.
  process.on('disconnect', () => stop('disconnect'));

  server = await startAuthorizationServer({ ...settings, tenant, logger });
  logger.info({ issuer: server.issuer, url: server.url }, 'listening');
  if (process.send === undefined) process.stdout.write(startBlock(server, tenant));
  else if (server.control !== undefined) {
    // Not by the log: logs are kept.
    const { url, token } = server.control;
    process.stdout.write(`control ${url}, token ${token}\n`);
  }
  process.send?.('ready');
}
