import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { StartError } from './errors.ts';

/** Options of `GracefulServer`. */
export interface GracefulServerOptions {
  /** Maximum size of all headers of a request, in bytes. Default 16,384. */
  readonly maxHeaderBytes?: number | undefined;
}

/** Time without a byte in either direction after which a connection is closed. */
const IDLE_TIMEOUT_MS = 65_000;

/**
 * HTTP server with limits on size and time. It answers requests that Node's parser rejects, reads the
 * rest of a body that the app did not read, and stops without cutting off an answer. `serve` makes one
 * for each `listen`.
 *
 * @example
 * const server = new GracefulServer({ maxHeaderBytes: 24 * 1024 });
 * server.on('request', app.callback());
 * await server.start(3000, '127.0.0.1');
 * // later
 * await server.stop(10_000);
 */
export class GracefulServer extends Server {
  /** The open connections, each with its newest response. */
  readonly #connections = new Map<Socket, ServerResponse | undefined>();

  constructor({ maxHeaderBytes = 16 * 1024 }: GracefulServerOptions = {}) {
    super({
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      connectionsCheckingInterval: 5000,
      // Node's answer to a request without `Host` has no body. `rejectMalformedTarget` answers it.
      requireHostHeader: false,
      // A proxy (usually after 60 s) must close an idle connection first, or it can use a closing one.
      keepAliveTimeout: IDLE_TIMEOUT_MS,
    });
    // Node keeps the connection of a peer that reads no byte of its answer for ever.
    this.timeout = IDLE_TIMEOUT_MS;
    this.on('timeout', (socket) => {
      // An app can take longer to begin its answer.
      if (this.#connections.get(socket)?.headersSent !== false) socket.destroy();
    });
    this.on('connection', (socket) => {
      this.#connections.set(socket, undefined);
      socket.once('close', () => this.#connections.delete(socket));
    });
    this.on('request', (request, response) => {
      this.#connections.set(request.socket, response);
      // Before Node's own listener, which ends the connection of a last answer.
      response.prependListener('finish', () => {
        if (!request.complete) readRest(request);
      });
    });
    // Without it Node answers 417 by itself, past the listener above. RFC 9110 §10.1.1 lets us ignore it.
    this.on('checkExpectation', (request, response) => this.emit('request', request, response));
    this.on('clientError', (error, socket) => {
      answerParserError(error, socket as Socket, this.#connections.get(socket as Socket));
    });
  }

  /** The port that the server listens on. */
  get port(): number {
    return (this.address() as AddressInfo).port;
  }

  /**
   * Starts to listen.
   *
   * @param port 0 lets the system choose a free one
   * @param setting name of the setting that holds the port, for the message of the error
   * @throws StartError when the port is in use or not allowed
   */
  async start(port: number, host: string, setting = 'PORT'): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        // Later errors are those of single connections, which the system could not hand over.
        this.on('error', reject).listen(port, host, resolve);
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
   * Accepts no more connections, answers every request that has arrived, and closes each connection
   * after its last answer. Connections that are still open after `graceMs` are closed by force.
   */
  async stop(graceMs: number): Promise<void> {
    this.prependListener('request', ({ socket }, response) => this.#closeAfter(socket, response));
    // `close` of an HTTP server would cut off answers that are still being sent.
    const closed = new Promise((resolve) => NetServer.prototype.close.call(this, resolve));
    for (const [socket, response] of this.#connections) {
      if (response && !response.writableFinished) this.#closeAfter(socket, response);
      else socket.destroySoon();
    }
    const force = setTimeout(() => {
      for (const socket of this.#connections.keys()) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(force);
  }

  #closeAfter(socket: Socket, response: ServerResponse): void {
    if (!response.headersSent) response.setHeader('Connection', 'close');
    response.once('close', () => {
      if (this.#connections.get(socket) === response) socket.destroySoon();
    });
  }
}

/**
 * Time for which the rest of a rejected request is read and ignored. If the connection were cut at once,
 * a peer that is still sending would lose the answer.
 */
const DRAIN_MS = 1000;

/**
 * Reads and ignores the rest of an answered request (RFC 9112 §9.3). Unread, it would hold up the next
 * request of the connection, which behind a proxy can be another user's. A peer that is too slow loses
 * the connection.
 */
function readRest(request: IncomingMessage): void {
  const { socket } = request;
  const { destroySoon } = socket;
  const force = setTimeout(() => socket.destroy(), DRAIN_MS);
  request.once('close', () => {
    clearTimeout(force);
    socket.destroySoon = destroySoon;
  });
  // Node calls it when this was the last answer. Cutting the connection now could lose the answer.
  socket.destroySoon = () => {
    socket.end();
    request.once('close', () => socket.destroy());
  };
  request.unpipe();
  request.resume();
}

const PARSER_ERRORS: Readonly<Record<string, [status: number, title: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};

// A request that Node's parser rejects never reaches the app. The answer is a problem document (RFC
// 9457) without text of the request.
function answerParserError(
  { code = '' }: NodeJS.ErrnoException,
  socket: Socket,
  response: ServerResponse | undefined,
): void {
  // The parser reports each further chunk of a request that was already answered.
  if (socket.writableEnded) return;
  setTimeout(() => socket.destroy(), DRAIN_MS).unref();
  // Text within an answer, or a second answer to a request, would be taken for that of another one.
  const isAnswering =
    response?.headersSent && !(response.req.complete && response.writableFinished);
  if (!socket.writable || code === 'ECONNRESET' || isAnswering) {
    socket.destroy();
    return;
  }
  const [status, title] = PARSER_ERRORS[code] ?? [400, 'Bad Request'];
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
