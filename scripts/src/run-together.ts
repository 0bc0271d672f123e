import { demoTenantFile, loadTenant } from '@koa-oauth/authorization-server';
import { Supervisor } from './services.ts';

const PARENT_CHECK_MS = 250;

export interface RunTogetherOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** Reaction to a service that ends by itself: stop the others (default), or wait for a change. */
  readonly onFailure?: 'stop' | 'wait';
  /** The last line of the ready block. */
  readonly hint: string;
  /** Called before the services end. */
  readonly onStop?: () => void;
}

/**
 * Runs the authorization server, the API and the web app on their default addresses until Ctrl-C,
 * or until one of them fails. Then it stops all of them.
 *
 * @returns when all services listen
 */
export async function runTogether({
  environment,
  onFailure = 'stop',
  hint,
  onStop,
}: RunTogetherOptions): Promise<Supervisor> {
  const { PORT, HOST, BASE_URL, ...shared } = environment;
  if (PORT ?? HOST ?? BASE_URL) {
    process.stderr.write(
      'PORT, HOST and BASE_URL are ignored, because each service has its own. ' +
        'Use them with npm run start:issuer, start:api and start:web.\n',
    );
  }

  // Requests are not logged by default, so that the addresses stay visible.
  const supervisor = new Supervisor({ LOG_LEVEL: 'warn', ...shared });
  const stop = async (exitCode: number) => {
    onStop?.();
    await supervisor.stop();
    process.exit(exitCode);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void stop(0));
  }
  // npm sends SIGTERM to its shell only, and the shell ends without stopping this process.
  const parent = process.ppid;
  if (environment.npm_lifecycle_event) {
    setInterval(() => process.ppid !== parent && void stop(0), PARENT_CHECK_MS).unref();
  }
  let ready = false;
  supervisor.onFailure = (reason) => {
    const waits = ready && onFailure === 'wait';
    const consequence = waits ? 'it starts again at the next change' : 'the others are stopped too';
    process.stderr.write(`\n${reason}; ${consequence}\n`);
    if (!waits) void stop(1);
  };

  await supervisor.start();
  ready = true;
  process.stdout.write(readyBlock(environment.TENANT || demoTenantFile, hint));
  return supervisor;
}

function readyBlock(tenantFile: string, hint: string): string {
  const { users } = loadTenant(tenantFile);
  const rows = users.map(({ email, password, roles, app_metadata }) => [
    email,
    `password ${password}`,
    `(${[...roles, app_metadata.org_id].filter(Boolean).join(', ')})`,
  ]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('   '));
  return `
  Contacts is ready

    Web app                http://localhost:3000
    API                    http://localhost:3001/contacts
    Authorization server   http://localhost:3002/.well-known/openid-configuration

  Demo users
${lines.map((line) => `    ${line}`).join('\n')}

  Try next
    Open http://localhost:3000 and sign in; or, from another terminal:
    curl -H "Authorization: Bearer $(npm run -s token -- --user alice)" http://localhost:3001/contacts

  ${hint}

`;
}
