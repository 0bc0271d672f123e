import { demoTenantFile, loadTenant } from '@koa-oauth/authorization-server';
import { Supervisor } from './services.ts';

export interface RunTogetherOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly nodeOptions?: readonly string[];
  /** Told before the services end, whatever the reason. */
  readonly onStop?: () => void;
}

/**
 * Runs the authorization server, the API and the web app on their default addresses until Ctrl-C,
 * or until one of them fails; then ends them all.
 */
export async function runTogether({
  environment,
  nodeOptions,
  onStop,
}: RunTogetherOptions): Promise<void> {
  const { PORT, HOST, BASE_URL, ...shared } = environment;
  if (PORT ?? HOST ?? BASE_URL) {
    process.stderr.write(
      'PORT, HOST and BASE_URL are left aside: each service has its own. Use them with npm run start:issuer, start:api and start:web.\n',
    );
  }

  const supervisor = new Supervisor();
  const stop = async (exitCode: number) => {
    onStop?.();
    await supervisor.stop();
    process.exit(exitCode);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void stop(0));
  // npm passes a SIGTERM on to its shell, which dies of it without a word to what it runs.
  const parent = process.ppid;
  if (environment.npm_lifecycle_event) {
    setInterval(() => process.ppid !== parent && void stop(0), 250).unref();
  }
  supervisor.onFailure = (reason) => {
    process.stderr.write(`\n${reason}; the others are stopped too\n`);
    void stop(1);
  };

  // Requests are logged when asked for; a first start should leave the addresses in sight.
  await supervisor.start({ LOG_LEVEL: 'warn', ...shared }, nodeOptions);
  process.stdout.write(readyBlock(environment.TENANT || demoTenantFile));
}

function readyBlock(tenantFile: string): string {
  const { users } = loadTenant(tenantFile);
  const widest = Math.max(...users.map(({ email }) => email.length));
  const lines = users.map(
    ({ email, password, roles, app_metadata }) =>
      `    ${email.padEnd(widest)}   password ${password}   (${[...roles, app_metadata.org_id].filter(Boolean).join(', ')})`,
  );
  return `
  Contacts is ready

    Web app                http://localhost:3000
    API                    http://localhost:3001
    Authorization server   http://localhost:3002/

  Demo users
${lines.join('\n')}

  Try next
    Open http://localhost:3000 and sign in; or, from another terminal:
    curl -H "Authorization: Bearer $(npm run -s token -- --user alice)" http://localhost:3001/contacts

  Ctrl-C stops all three. LOG_LEVEL=info npm start shows every request.

`;
}
