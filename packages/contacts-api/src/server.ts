import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';

/** How long requests in flight get to finish once the server stops, in milliseconds. */
const STOP_WITHIN = 10_000;

/** How long what comes behind a refusal is thrown away, in milliseconds. */
const DRAIN_FOR = 1000;

/** A server's open connections, each with the newest answer that it is owed or has got. */
type Connections = Map<Socket, ServerResponse | undefined>;

const connections = new WeakMap<Server, Connections>();

/** Makes a server with bounds on what a connection may take: header size, and time to send a request. */
export function createBoundedServer(): Server {
  const server = createServer({
    // Room for the largest access token, 16 kB, and the other headers.
    maxHeaderSize: 24 * 1024,
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 5000,
    keepAliveTimeout: 65_000,
  });
  const open: Connections = new Map();
  connections.set(server, open);
  server.on('connection', (socket) => {
    open.set(socket, undefined);
    socket.once('close', () => open.delete(socket));
  });
  server.on('request', ({ socket }, response) => open.set(socket, response));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    refuse(error.code, socket);
  });
  return server;
}

/** Listens. @returns the port, which the system chose when it was 0 */
export async function listen(server: Server, port: number, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/**
 * Stops a server that `createBoundedServer` made: no new connections, an answer to every request that
 * came, and no more requests on a connection behind its answer.
 */
export async function stop(server: Server): Promise<void> {
  const open = connections.get(server) as Connections;
  const closeBehind = (socket: Socket, response: ServerResponse) => {
    if (!response.headersSent) response.setHeader('Connection', 'close');
    response.once('close', () => {
      if (open.get(socket) === response) socket.destroySoon();
    });
  };
  server.prependListener('request', ({ socket }, response) => closeBehind(socket, response));
  // Not the close of an HTTP server: it cuts answers off that are still on their way out.
  const closed = new Promise((resolve) => NetServer.prototype.close.call(server, resolve));
  for (const [socket, response] of open) {
    if (response && !response.writableFinished) closeBehind(socket, response);
    else socket.destroySoon();
  }
  const force = setTimeout(() => {
    for (const socket of open.keys()) socket.destroy();
  }, STOP_WITHIN);
  await closed;
  clearTimeout(force);
}

const STATUS: Readonly<Record<string, [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};

// What Node's parser can't take never reaches the app. It gets the same kind of answer, and not a
// word of what came.
function refuse(code: string | undefined, socket: Socket): void {
  // Who is still sending would lose the answer if the connection were cut at once.
  if (socket.writableEnded) return;
  setTimeout(() => socket.destroy(), DRAIN_FOR).unref();
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, title] = STATUS[code ?? ''] ?? [400, 'Bad Request'];
  const body = JSON.stringify({ type: 'about:blank', title, status });
  socket.end(
    [
      `HTTP/1.1 ${status} ${title}`,
      'Content-Type: application/problem+json',
      'Cache-Control: no-store',
      'Connection: close',
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n'),
  );
}
