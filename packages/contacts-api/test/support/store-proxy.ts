import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A proxy between the API and its database, or another store. */
export interface StoreProxy {
  readonly port: number;
  /** Breaks every connection and accepts no new one. */
  disconnect(): Promise<void>;
  /** Drops all data from now on, without closing a connection. */
  dropData(): void;
  restore(): Promise<void>;
}

/** Starts a proxy to the server of a URL, which must name its port, or be that of PostgreSQL. */
export async function startProxy({ hostname, port: farPort }: URL): Promise<StoreProxy> {
  const sockets = new Set<Socket>();
  let dropping = false;
  const server = createServer((near) => {
    const far = connect(Number(farPort || 5432), hostname);
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => dropping || onto.write(chunk));
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        onto.destroy();
      });
    }
  });
  const listen = async (port: number) => {
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  return {
    port,
    async disconnect() {
      const closed = once(server.close(), 'close');
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    dropData() {
      dropping = true;
    },
    async restore() {
      dropping = false;
      if (!server.listening) await listen(port);
    },
  };
}
