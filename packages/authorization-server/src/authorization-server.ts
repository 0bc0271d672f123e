import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Logger, pino } from 'pino';
import { createApp } from './app.ts';
import { type Control, createControl, newControlToken } from './control.ts';
import { StartError } from './errors.ts';
import { createFaults, type Faults } from './faults.ts';
import { loadSigningKeys } from './signing-keys.ts';
import { openStateStore } from './state-store.ts';
import type { Tenant } from './tenant.ts';
import { createTransactions, type Transaction } from './transactions.ts';

export interface AuthorizationServerOptions {
  /** From `loadTenant`. */
  readonly tenant: Tenant;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** TCP port; 0, the default, takes any free one. */
  readonly port?: number;
  /** Issuer identifier, ending in a slash; default `http://localhost:PORT/`. */
  readonly issuer?: string;
  /** `memory:` (default) or `file:PATH`: logins, consents, refresh tokens. */
  readonly state?: string;
  /** `memory:` (default) or `file:PATH`: the signing keys, made when missing. */
  readonly keys?: string;
  /** TCP port of the control, always on 127.0.0.1, 0 for any free one; undefined, the default: none. */
  readonly control?: number | undefined;
  /** Default: silent. */
  readonly logger?: Logger;
}

export interface AuthorizationServer {
  /** Issuer identifier, with the slash at its end. */
  readonly issuer: string;
  /** Where it listens, without a slash at its end. */
  readonly url: string;
  /** Where the control listens, and its token; undefined when it is off. */
  readonly control: Control | undefined;
  /** What the next requests are to meet; works without the control as well. */
  readonly faults: Pick<Faults, 'add' | 'clear' | 'list'>;
  /** The last 200 transactions step by step, the latest first, without a secret in them. */
  log(): Transaction[];
  /** Stops listening, gives open requests a second, closes the state. May be called twice. */
  close(): Promise<void>;
}

const GRACE = 1000;

/**
 * Starts an authorization server in this process.
 *
 * @throws StartError when the port is in use, or the state or key file can't be used.
 */
export async function startAuthorizationServer({
  tenant,
  host = '127.0.0.1',
  port = 0,
  issuer: givenIssuer,
  state = 'memory:',
  keys: keysPlace = 'memory:',
  control: controlPort,
  logger = pino({ level: 'silent' }),
}: AuthorizationServerOptions): Promise<AuthorizationServer> {
  const keys = await loadSigningKeys(keysPlace);
  // The port first: the issuer holds it, and the engine the issuer.
  const server = await listen(host, port);
  const bound = portOf(server);
  const issuer = givenIssuer ?? `http://localhost:${bound}/`;
  const faults = createFaults();
  const transactions = createTransactions();
  let controlServer: Server | undefined;
  let control: Control | undefined;
  try {
    if (controlPort !== undefined) {
      controlServer = await listen('127.0.0.1', controlPort, 'CONTROL');
      control = { url: `http://127.0.0.1:${portOf(controlServer)}`, token: newControlToken() };
      const parts = { token: control.token, faults, transactions, log: logger };
      controlServer.on('request', createControl(parts).callback());
    }
    const store = openStateStore(state);
    server.once('close', () => store.close());
    const showLog = control !== undefined;
    const parts = { issuer, tenant, keys, store, log: logger, faults, transactions, showLog };
    server.on('request', createApp(parts).callback());
  } catch (error) {
    await closeAll();
    throw error;
  }
  let closed: Promise<void> | undefined;
  return {
    issuer,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    control,
    faults,
    log: transactions.list,
    close: () => (closed ??= closeAll()),
  };

  async function closeAll(): Promise<void> {
    await Promise.all([server, controlServer].map((one) => one && close(one)));
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function listen(host: string, port: number, setting = 'PORT'): Promise<Server> {
  const server = createServer();
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message =
      code === 'EADDRINUSE'
        ? `port ${port} on ${host} is in use: stop what listens there or set ${setting}`
        : `can't listen on port ${port} of ${host} (${code}): set ${setting === 'PORT' ? 'PORT or HOST' : setting}`;
    throw new StartError(code ?? 'listen', message, { cause });
  }
  return server;
}

async function close(server: Server): Promise<void> {
  const done = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), GRACE).unref();
  await done;
  clearTimeout(cut);
}
