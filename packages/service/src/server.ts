import { Server, type ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { StartError } from './errors.ts';

/** How long what comes after a rejected request is thrown away. */
const DRAIN_MS = 1000;

/** Options of `GracefulServer`. */
export interface GracefulServerOptions {
  /** Maximum size of all headers of a request, in bytes. Default 16,384. */
  readonly maxHeaderBytes?: number | undefined;
}

/**
 * An HTTP server with bounds on what a connection may take, which answers also what Node's parser
 * rejects, and which stops without cutting an answer off.
 */
export class GracefulServer extends Server {
  /** The open connections, each with the newest response that belongs to it. */
  readonly #open = new Map<Socket, ServerResponse | undefined>();

  constructor({ maxHeaderBytes = 16 * 1024 }: GracefulServerOptions = {}) {
    super({
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      connectionsCheckingInterval: 5000,
      // Longer than a proxy keeps them, which must never send to one that is closing.
      keepAliveTimeout: 65_000,
    });
    this.on('connection', (socket) => {
      this.#open.set(socket, undefined);
      socket.once('close', () => this.#open.delete(socket));
    });
    this.on('request', ({ socket }, response) => this.#open.set(socket, response));
    this.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      rejectUnparsed(error.code, socket);
    });
  }

  /** The port it listens on. */
  get port(): number {
    return (this.address() as AddressInfo).port;
  }

  /**
   * Listens.
   *
   * @param port 0: the system chooses a free one
   * @param setting the name of the setting that says which port
   * @throws StartError when the port is in use or can't be had
   */
  async start(port: number, host: string, setting = 'PORT'): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.once('error', reject).listen(port, host, resolve);
      });
    } catch (cause) {
      const { code = 'listen' } = cause as NodeJS.ErrnoException;
      const message =
        code === 'EADDRINUSE'
          ? `port ${port} on ${host} is in use: stop what listens there or set ${setting}`
          : `can't listen on port ${port} of ${host} (${code}): set ${setting === 'PORT' ? 'PORT or HOST' : setting}`;
      throw new StartError(code, message, { cause });
    }
  }

  /**
   * Takes no more connections, answers every request that came, closes each connection after its
   * answer, and after `graceMs` those that are still open.
   */
  async stop(graceMs: number): Promise<void> {
    const closeAfter = (socket: Socket, response: ServerResponse) => {
      if (!response.headersSent) response.setHeader('Connection', 'close');
      response.once('close', () => {
        if (this.#open.get(socket) === response) socket.destroySoon();
      });
    };
    this.prependListener('request', ({ socket }, response) => closeAfter(socket, response));
    // The `close` of an HTTP server cuts off answers that are still on their way out.
    const closed = new Promise((resolve) => NetServer.prototype.close.call(this, resolve));
    for (const [socket, response] of this.#open) {
      if (response && !response.writableFinished) closeAfter(socket, response);
      else socket.destroySoon();
    }
    const force = setTimeout(() => {
      for (const socket of this.#open.keys()) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(force);
  }
}

const STATUS: Readonly<Record<string, [status: number, title: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};

// What Node's parser rejects never reaches the app. The answer is of the same kind as the app's, and
// repeats nothing of the request.
function rejectUnparsed(code: string | undefined, socket: Socket): void {
  // A peer that is still sending would lose the answer if the connection were cut at once.
  if (socket.writableEnded) return;
  setTimeout(() => socket.destroy(), DRAIN_MS).unref();
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
