import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
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

/** A proxy before a service that records all messages. */
export interface RecordingProxy {
  /** Without a slash at its end. */
  readonly url: string;
  readonly exchanges: readonly Exchange[];
  /** Port of the service. */
  target: number;
  /** While true, every connection is cut. */
  isDown: boolean;
  close(): Promise<void>;
}

/** Starts it on a free port. */
export async function startRecordingProxy(): Promise<RecordingProxy> {
  const exchanges: Exchange[] = [];
  const server = createServer((incoming, outgoing) => {
    if (proxy.isDown) incoming.socket.destroy();
    else
      forward(incoming).then(
        ({ exchange, response, body }) => {
          exchanges.push(exchange);
          outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders).end(body);
        },
        () => incoming.socket.destroy(),
      );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: RecordingProxy = {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    exchanges,
    target: 0,
    isDown: false,
    async close() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
  return proxy;

  async function forward(incoming: IncomingMessage) {
    const { method = '', url = '' } = incoming;
    const sent = await buffer(incoming);
    // A compressed answer would hide its content.
    const { 'accept-encoding': _, connection: __, ...headers } = incoming.headers;
    const options = { method, headers, host: '127.0.0.1', port: proxy.target, path: url };
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
