import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export interface WireOptions {
  /** Ports of the processes. */
  readonly targets: readonly number[];
  /** Path of the health check. Without it every process gets requests. */
  readonly healthPath?: string;
  /** Receives every request and answer. */
  readonly onText: (text: string) => void;
}

const CHECK_EVERY_MS = 200;
/** Overlap of two pieces, because a secret may span both. */
const OVERLAP_LENGTH = 8192;

/** Load balancer that sends each request to the next healthy process. */
export class Wire {
  readonly port: number;
  /** Ports that get no requests. */
  readonly unwell = new Set<number>();
  readonly #options: WireOptions;
  readonly #server: Server;
  readonly #checks: NodeJS.Timeout | undefined;
  #turn = 0;

  static async open(options: WireOptions): Promise<Wire> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Wire(server, options);
  }

  private constructor(server: Server, options: WireOptions) {
    this.#options = options;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('request', (near, answer) => this.#forward(near, answer));
    const { healthPath, targets } = options;
    if (healthPath === undefined) return;
    this.#checks = setInterval(() => {
      for (const port of targets) void this.#check(port, healthPath);
    }, CHECK_EVERY_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#checks);
    const closed = once(this.#server.close(), 'close');
    this.#server.closeAllConnections();
    await closed;
  }

  async #check(port: number, path: string): Promise<void> {
    const signal = AbortSignal.timeout(5 * CHECK_EVERY_MS);
    const asked = fetch(`http://127.0.0.1:${port}${path}`, { signal });
    const answer = await asked.catch(() => undefined);
    await answer?.body?.cancel().catch(() => {});
    if (answer?.ok) this.unwell.delete(port);
    else this.unwell.add(port);
  }

  #forward(near: IncomingMessage, answer: ServerResponse): void {
    const { method, url = '/', headers, socket } = near;
    this.#show(url, headers, near);
    // A new connection, because a kept one may just have ended.
    const far = request({
      ...{ host: '127.0.0.1', port: this.#next(), agent: false, method, path: url },
      headers: withoutConnection(headers),
    });
    // A broken connection behind the balancer breaks the one before it.
    const resetClient = () => socket.resetAndDestroy();
    far.on('error', resetClient);
    far.on('response', (response) => {
      this.#show('', response.headers, response);
      answer.writeHead(response.statusCode ?? 500, withoutConnection(response.headers));
      response.on('error', resetClient).pipe(answer);
    });
    answer.on('close', () => far.destroy());
    near.on('error', () => far.destroy()).pipe(far);
  }

  #next(): number {
    const { targets } = this.#options;
    const well = targets.filter((port) => !this.unwell.has(port));
    // If none is healthy, each answers for itself.
    const among = well.length > 0 ? well : targets;
    return among[this.#turn++ % among.length] as number;
  }

  #show(url: string, headers: IncomingHttpHeaders, body: IncomingMessage): void {
    const { onText } = this.#options;
    const lines = Object.entries(headers).flatMap(([name, value]) =>
      [value].flat().map((one) => `${name}: ${one}`),
    );
    onText([url, ...lines].join('\n'));
    let before = '?';
    body.on('data', (piece: Buffer) => {
      const text = before + piece.toString('latin1');
      onText(text);
      before = text.slice(-OVERLAP_LENGTH);
    });
  }
}

function withoutConnection(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...rest } = headers;
  return rest;
}
