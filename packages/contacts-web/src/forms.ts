import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';

/** Parses the form of a request. An error without a status becomes a 400. */
export function readForm(): Middleware {
  return bodyParser({
    enableTypes: ['form'],
    formLimit: '64kb',
    onError(cause, ctx) {
      const { status = 400 } = cause as { status?: number };
      ctx.throw(status, 'the form cannot be read', { cause });
    },
  });
}

/** Returns a field of a parsed form. A missing or repeated field is empty. */
export function field(body: unknown, name: string): string {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  // Browsers send line ends as CR LF (WHATWG HTML, "constructing the entry list").
  return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '';
}
