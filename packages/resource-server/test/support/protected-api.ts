import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import Koa, { type Middleware } from 'koa';
import { auth } from '../../src/auth.ts';
import type { AuthOptions } from '../../src/options.ts';

export interface Listening {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on a free loopback port, with room for headers past every limit of ours. */
export async function listen(listener: RequestListener): Promise<Listening> {
  const server = createServer({ maxHeaderSize: 256 * 1024 }, listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly challenge: string | null;
  /** The code in the challenge, when there is one. */
  readonly error: string | undefined;
  readonly retryAfter: string | null;
  readonly headers: Headers;
  readonly body: string;
}

export interface Api extends Listening {
  /** Errors that reached the application, in order. */
  readonly errors: unknown[];
  get(token?: string, path?: string): Promise<Answer>;
  send(headers: Record<string, string>, path?: string, init?: RequestInit): Promise<Answer>;
}

/** An API whose every route answers `ctx.state.auth` behind `auth`, unless told otherwise. */
export async function startApi<Claims>(
  options: AuthOptions<Claims>,
  { before = [], behind = [] }: { before?: Middleware[]; behind?: Middleware[] } = {},
): Promise<Api> {
  const app = new Koa();
  for (const middleware of before) app.use(middleware);
  app.use(auth(options));
  for (const middleware of behind) app.use(middleware);
  app.use((ctx) => {
    ctx.body = ctx.state.auth ?? { anonymous: true };
  });
  return serve(app);
}

export async function serve(app: Koa): Promise<Api> {
  const errors: unknown[] = [];
  app.on('error', (error) => errors.push(error));
  const listening = await listen(app.callback());
  const send: Api['send'] = async (headers, path = '', init = {}) => {
    const response = await fetch(listening.url + path, { ...init, headers });
    const challenge = response.headers.get('www-authenticate');
    return {
      status: response.status,
      challenge,
      error: /\berror="([^"]*)"/.exec(challenge ?? '')?.[1],
      retryAfter: response.headers.get('retry-after'),
      headers: response.headers,
      body: await response.text(),
    };
  };
  const get: Api['get'] = (token, path) =>
    send(token === undefined ? {} : { Authorization: `Bearer ${token}` }, path);
  return { ...listening, errors, send, get };
}

/** Sends bytes as they are, and answers with the status line and headers that came back. */
export async function sendRaw(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(`${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`, 'latin1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  await once(socket, 'close');
  return text;
}
