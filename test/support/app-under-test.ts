import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Context, Next } from 'koa';
import type { Page } from './form-browser.ts';

/** Starts a server on a free port. @returns it, and its address */
export async function listen(): Promise<[Server, string]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return [server, `http://localhost:${(server.address() as AddressInfo).port}`];
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await once(server.close(), 'close');
}

/** Answers an error of `auth` as JSON. */
export async function answerErrors(ctx: Context, next: Next): Promise<void> {
  try {
    await next();
  } catch (error) {
    const { status, headers, code, message, detail } = error as {
      status?: number;
      headers?: Record<string, string>;
      code?: string;
      message?: string;
      detail?: string;
    };
    ctx.status = status ?? 500;
    ctx.set({ ...headers });
    ctx.body = { code, message, detail };
  }
}

/** Returns the JSON of a page. */
export function readJson({ html }: Page): Record<string, string> {
  return JSON.parse(html.text);
}
