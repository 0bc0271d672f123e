import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StartError } from './errors.ts';

const GRACE = 1000;

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/**
 * Listens, and answers nothing yet.
 *
 * @param setting what names the port to whoever has to change it.
 * @throws StartError when the port is in use or can't be had.
 */
export async function listen(host: string, port: number, setting = 'PORT'): Promise<Server> {
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

/** Stops listening, and gives open requests a second. */
export async function close(server: Server): Promise<void> {
  const done = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), GRACE).unref();
  await done;
  clearTimeout(cut);
}
