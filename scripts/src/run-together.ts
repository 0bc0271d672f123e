import { loadTenant, readKeywords } from '@koa-oauth/authorization-server';
import {
  checkPorts,
  DEFAULT_PORTS,
  environmentsOf,
  localURL,
  type Ports,
  readPorts,
} from './addresses.ts';
import { Supervisor } from './services.ts';

const PARENT_CHECK_MS = 250;

interface RunTogetherOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** Reaction to a service that ends by itself: stop the others (default), or wait for a change. */
  readonly onFailure?: 'stop' | 'wait';
  /** The last line of the ready block. */
  readonly hint: string;
  /** Called before the services end. */
  readonly onStop?: () => void;
}

/**
 * Runs the authorization server, the API and the web app until Ctrl-C, or until one of them fails.
 * Then it stops all of them. If a port is in use, it starts none.
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
      'PORT, HOST and BASE_URL are ignored, because each service has its own. Set WEB_PORT, API_PORT ' +
        'and ISSUER_PORT, or use npm run start:issuer, start:api and start:web.\n',
    );
  }

  const { ports, environments } = await prepare(shared).catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    onStop?.();
    process.exit(1);
  });
  const supervisor = new Supervisor(environments);
  const stop = async (exitCode: number) => {
    onStop?.();
    await supervisor.stop();
    process.exit(exitCode);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void stop(0));
  }
  // The reader of the output has ended, as `head` does.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => void stop(0));
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
  process.stdout.write(readyBlock(ports, environments.issuer ?? {}, hint));
  return supervisor;
}

async function prepare(environment: NodeJS.ProcessEnv) {
  const ports = readPorts(environment);
  await checkPorts(ports);
  // Requests are not logged by default, so that the addresses stay visible.
  return { ports, environments: environmentsOf(ports, { LOG_LEVEL: 'warn', ...environment }) };
}

function readyBlock(ports: Ports, environment: NodeJS.ProcessEnv, hint: string): string {
  const [web, api, issuer] = [ports.WEB_PORT, ports.API_PORT, ports.ISSUER_PORT].map(localURL);
  const isDefault = ports.ISSUER_PORT === DEFAULT_PORTS.ISSUER_PORT;
  const settings = isDefault ? '' : `ISSUER_BASE_URL=${issuer} `;
  const keywords = readKeywords(environment);
  const { users } = loadTenant(String(environment.TENANT), { keywords });
  const rows = users.map(({ email, password, roles, app_metadata }) => [
    email,
    `password ${password}`,
    `(${[...roles, app_metadata.org_id].filter(Boolean).join(', ')})`,
  ]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('   '));
  return `
  Contacts is ready

    Web app                ${web}
    API                    ${api}/contacts
    Authorization server   ${issuer}/.well-known/openid-configuration

  Demo users
${lines.map((line) => `    ${line}`).join('\n')}

  Try next
    Open ${web} and sign in; or, from another terminal:
    curl -H "Authorization: Bearer $(${settings}npm run -s token -- --user alice)" ${api}/contacts

  ${hint}

`;
}
