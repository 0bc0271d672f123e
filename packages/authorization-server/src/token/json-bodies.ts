import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { Context, Middleware, Next } from 'koa';
import { readJson, refuse } from '../http/body.ts';

const MAX_BODY_BYTES = 57_344;

/** Accepts JSON as Auth0 does: the engine, which reads only forms (RFC 6749), gets the fields as a form. */
export function jsonBodies(): Middleware {
  return async function jsonBodies(ctx: Context, next: Next) {
    if (ctx.method !== 'POST' || !ctx.is('json')) return next();
    let fields: [string, unknown][];
    try {
      fields = Object.entries(await readJson(ctx, MAX_BODY_BYTES));
    } catch {
      return refuse(ctx, 400, 'invalid_request', 'failed to parse the request body');
    }
    const nested = fields.find(([, value]) => typeof value === 'object' && value !== null);
    if (nested !== undefined) {
      return refuse(ctx, 400, 'invalid_request', `"${nested[0]}" must be a text`);
    }
    const form = new URLSearchParams(
      fields.flatMap(([name, value]) => (value === null ? [] : [[name, String(value)]])),
    );
    const content = Buffer.from(form.toString());
    const { headers, method, url, socket } = ctx.req;
    headers['content-type'] = 'application/x-www-form-urlencoded';
    headers['content-length'] = String(content.length);
    // All that Koa and the engine read from a request.
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
