import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { bodyParser } from '@koa/bodyparser';
import type { Context, Middleware, Next } from 'koa';
import { ROUTES } from './endpoints.ts';

const PATHS: readonly string[] = [ROUTES.token, ROUTES.revocation];

/**
 * Takes JSON at the token and revocation endpoints, as Auth0 does beside the form of RFC 6749: the
 * engine, which takes forms only and reads the request itself, is given the same fields as a form.
 */
export function acceptJsonBodies(): Middleware {
  const parse = bodyParser({ enableTypes: ['json'], jsonLimit: '56kb' });
  return async function jsonBodies(ctx: Context, next: Next) {
    if (ctx.method !== 'POST' || !PATHS.includes(ctx.path) || !ctx.is('json')) return next();
    try {
      await parse(ctx, async () => {});
    } catch {
      return refuse(ctx, 'failed to parse the request body');
    }
    const fields = Object.entries((ctx.request.body ?? {}) as Record<string, unknown>);
    const odd = fields.find(([, value]) => typeof value === 'object' && value !== null);
    if (odd !== undefined) return refuse(ctx, `"${odd[0]}" must be a text`);
    const form = new URLSearchParams(
      fields.flatMap(([name, value]) => (value === null ? [] : [[name, String(value)]])),
    );
    const content = Buffer.from(form.toString());
    const { headers, method, url, socket } = ctx.req;
    headers['content-type'] = 'application/x-www-form-urlencoded';
    headers['content-length'] = String(content.length);
    // All that Koa and the engine read from a request; the one that came has been read to its end.
    const request = Object.assign(Readable.from([content], { objectMode: false }), {
      headers,
      method,
      url,
      socket,
    });
    ctx.req = request as unknown as IncomingMessage;
    ctx.request.req = ctx.req;
    return next();
  };
}

function refuse(ctx: Context, description: string): void {
  ctx.status = 400;
  ctx.body = { error: 'invalid_request', error_description: description };
}
