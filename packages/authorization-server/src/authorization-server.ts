import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Logger, pino } from 'pino';
import { createApp } from './app.ts';
import { StartError } from './errors.ts';
import { loadSigningKeys } from './signing-keys.ts';
import { openStateStore } from './state-store.ts';
import type { Tenant } from './tenant.ts';

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
  /** Default: silent. */
  readonly logger?: Logger;
}

export interface AuthorizationServer {
  /** Issuer identifier, with the slash at its end. */
  readonly issuer: string;
  /** Where it listens, without a slash at its end. */
  readonly url: string;
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
  logger = pino({ level: 'silent' }),
}: AuthorizationServerOptions): Promise<AuthorizationServer> {
  const keys = await loadSigningKeys(keysPlace);
  // The port first: the issuer holds it, and the engine the issuer.
  const server = await listen(host, port);
  const bound = (server.address() as AddressInfo).port;
  const issuer = givenIssuer ?? `http://localhost:${bound}/`;
  try {
    const store = openStateStore(state);
    server.once('close', () => store.close());
    server.on('request', createApp({ issuer, tenant, keys, store, log: logger }).callback());
  } catch (error) {
    await close(server);
    throw error;
  }
  let closed: Promise<void> | undefined;
  return {
    issuer,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    close: () => (closed ??= close(server)),
  };
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message =
      code === 'EADDRINUSE'
        ? `port ${port} on ${host} is in use: stop what listens there or set PORT`
        : `can't listen on port ${port} of ${host} (${code}): set PORT or HOST`;
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
