#!/usr/bin/env node
import { pino } from 'pino';
import { surviveStrayFailures } from './actions/run.ts';
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts';
import type { Control } from './control/control.ts';
import { StartError } from './errors.ts';
import { readSettings } from './settings.ts';
import { connectionInId } from './tenant/connections.ts';
import { loadTenant } from './tenant/load.ts';
import type { Tenant, User } from './tenant/tenant.ts';

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

/** What someone who starts the server by hand wants to know: where it is, and who can sign in. */
function startBlock(
  { issuer, control }: { issuer: string; control?: Control | undefined },
  tenant: Tenant,
): string {
  const width = (values: readonly string[]): number =>
    Math.max(...values.map((value) => value.length)) + 2;
  const email = width(tenant.users.map((user) => user.email));
  const password = width(tenant.users.map(shown));
  const lines = [
    tenant.tenant.friendly_name,
    '',
    `  issuer    ${issuer}`,
    `  metadata  ${issuer}.well-known/openid-configuration`,
    ...(control === undefined
      ? []
      : [`  log       ${issuer}log`, `  control   ${control.url}`, `  its token ${control.token}`]),
    '',
    `  ${'user'.padEnd(email)}${'password'.padEnd(password)}roles`,
    ...tenant.users.map(
      (user) =>
        `  ${user.email.padEnd(email)}${shown(user).padEnd(password)}${user.roles.join(', ')}`,
    ),
    '',
    '  For development only. Ctrl-C stops it.',
  ];
  return `\n${lines.join('\n')}\n\n`;
}

function shown({ password, password_hash: hash, user_id }: User): string {
  if (password === undefined && hash === undefined) return `(${connectionInId(user_id)})`;
  return password ?? '(hashed)';
}
