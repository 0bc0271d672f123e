import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Koa from 'koa';
import { CookieJar } from 'tough-cookie';

export interface Browser {
  readonly jar: CookieJar;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  head(path: string): Promise<Response>;
  post(
    path: string,
    headers?: Record<string, string>,
    form?: Record<string, string>,
  ): Promise<Response>;
  cookieNames(): Promise<string[]>;
}

export interface Served {
  /** Address of the server. */
  readonly origin: string;
  /** A browser with cookies of its own, that follows no redirect by itself. */
  browser(jar?: CookieJar): Browser;
  close(): Promise<void>;
}

const PAGE = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };

/** Serves an app on a free port. `baseURL` is what browsers take it for, as behind a proxy. */
export async function serve(app: Koa, baseURL: string): Promise<Served> {
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const browser = (jar = new CookieJar()): Browser => {
    async function send(path: string, init: RequestInit): Promise<Response> {
      const cookie = await jar.getCookieString(baseURL + path);
      const headers = { ...(init.headers as Record<string, string>), ...(cookie && { cookie }) };
      const options: RequestInit = { ...init, headers, redirect: 'manual' };
      const response = await fetch(`http://127.0.0.1:${port}${path}`, options);
      for (const line of response.headers.getSetCookie()) await jar.setCookie(line, baseURL + path);
      return response;
    }
    return {
      jar,
      get: (path, headers = {}) => send(path, { headers: { ...PAGE, ...headers } }),
      head: (path) => send(path, { method: 'HEAD', headers: PAGE }),
      post: (path, headers = {}, form = {}) =>
        send(path, {
          method: 'POST',
          headers: { ...PAGE, 'sec-fetch-site': 'same-origin', ...headers },
          body: new URLSearchParams(form),
        }),
      cookieNames: async () => (await jar.getCookies(baseURL)).map(({ key }) => key),
    };
  };

  return {
    origin: `http://127.0.0.1:${port}`,
    browser,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
