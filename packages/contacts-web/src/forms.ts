import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';

/** Reads a form. A failure is the sender's fault, unless the parser says otherwise. */
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

/** A field of a form that was read; empty when it is not there, or there twice. */
export function field(body: unknown, name: string): string {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  // Browsers send line ends as CR LF (WHATWG HTML, "constructing the entry list").
  return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '';
}
