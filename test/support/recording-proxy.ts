import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** One request and its answer, as they went over the wire. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly requestHeaders: string;
  readonly requestBody: string;
  readonly status: number;
  readonly responseHeaders: string;
  readonly responseBody: string;
}

/** A proxy before a service, on a free port, that records all messages. */
export class RecordingProxy {
  readonly exchanges: Exchange[] = [];
  /** Port of the service. */
  target = 0;
  /** While true, every connection is cut. */
  isDown = false;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<RecordingProxy> {
    const server = createServer((incoming, outgoing) => proxy.#answer(incoming, outgoing));
    const proxy = new RecordingProxy(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  /** Without a slash at its end. */
  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await once(this.#server.close(), 'close');
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      if (this.isDown) throw new Error('the proxy is down');
      const { exchange, response, body } = await this.#forward(incoming);
      this.exchanges.push(exchange);
      outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders).end(body);
    } catch {
      incoming.socket.destroy();
    }
  }

  async #forward(incoming: IncomingMessage) {
    const { method = '', url = '' } = incoming;
    const sent = await buffer(incoming);
    // A compressed answer would hide its content.
    const { 'accept-encoding': _, connection: __, ...headers } = incoming.headers;
    const options = { method, headers, host: '127.0.0.1', port: this.target, path: url };
    const outgoing = request({ ...options, agent: false }).end(sent);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const body = await buffer(response);
    const exchange: Exchange = {
      method,
      url,
      requestHeaders: lines(incoming.rawHeaders),
      requestBody: sent.toString('latin1'),
      status: response.statusCode ?? 0,
      responseHeaders: lines(response.rawHeaders),
      responseBody: body.toString('latin1'),
    };
    return { exchange, response, body };
  }
}

/** Turns a list of names and values into a line for each header. */
function lines(rawHeaders: readonly string[]): string {
  return rawHeaders
    .flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []))
    .join('\n');
}
