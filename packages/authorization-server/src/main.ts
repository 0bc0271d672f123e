#!/usr/bin/env node
import { readSettings, serve } from '@koa-oauth/service';
import { createLogger } from '@koa-oauth/service/log';
import { surviveStrayFailures } from './actions/run.ts';
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts';
import { Settings } from './settings.ts';
import { readKeywords } from './tenant/keywords.ts';
import { loadTenant } from './tenant/load.ts';
import type { Tenant, User } from './tenant/tenant.ts';
import { connectionInId } from './tenant/users.ts';

await serve({
  name: 'authorization-server',
  graceMs: 1000,
  async start(service) {
    const { logLevel, ...settings } = readSettings(Settings, process.env);
    const tenant = loadTenant(settings.tenant, { keywords: readKeywords(process.env) });
    const logger = createLogger({ level: logLevel });
    surviveStrayFailures(logger);
    const server = await startAuthorizationServer({ ...settings, tenant, logger });
    service.onStop(() => server.close());
    service.onStop((reason) => logger.info({ reason }, 'stopping'));
    logger.info({ issuer: server.issuer, url: server.url }, 'listening');
    if (process.send && server.control) {
      // The token is a secret: it must not be in the log, which is stored.
      const { url, token } = server.control;
      process.stdout.write(`control ${url}, token ${token}\n`);
    }
    return startBlock(server);
  },
});

/** Returns the text printed at the start: the addresses, and the users with their passwords. */
function startBlock({ issuer, control, tenant }: AuthorizationServer): string {
  return [
    '',
    tenant.tenant.friendly_name,
    '',
    `  issuer    ${issuer}`,
    `  metadata  ${issuer}.well-known/openid-configuration`,
    ...(control === undefined
      ? []
      : [`  log       ${issuer}log`, `  control   ${control.url}`, `  its token ${control.token}`]),
    '',
    ...table([
      ['user', 'password', 'roles'],
      ...tenant.users.map((user) => [user.email, shownPassword(user), user.roles.join(', ')]),
    ]),
    ...(tenant.users.length === 0 ? ['  none: add users.yaml to the folder of the tenant'] : []),
    ...completedApplications(tenant),
    '',
    '  For development only. Ctrl-C stops it.',
    '',
  ].join('\n');
}

/** Returns ids and secrets that are not in the tenant file; those in it the user knows. */
function completedApplications({ completed }: Tenant): string[] {
  const rows = completed.map(({ name, client_id, client_secret = '' }) => [
    name,
    client_id,
    client_secret,
  ]);
  if (rows.length === 0) return [];
  return [
    '',
    ...table([['application', 'generated client_id', 'generated client_secret'], ...rows]),
  ];
}

function table(rows: readonly string[][]): string[] {
  const widths = [0, 1].map(
    (column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)) + 2,
  );
  return rows.map(
    (row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('')}`,
  );
}

function shownPassword({ password, password_hash: hash, user_id }: User): string {
  if (password === undefined && hash === undefined) return `(${connectionInId(user_id)})`;
  return password ?? '(hashed)';
}
