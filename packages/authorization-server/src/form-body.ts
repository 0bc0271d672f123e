import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';

/** Reads the form that a page of this server posts. @throws 4xx when it can't be read. */
export function readForm(): Middleware {
  return bodyParser({
    enableTypes: ['form'],
    formLimit: '10kb',
    // However reading it fails, it is its sender's fault, unless the parser says otherwise.
    onError(cause, ctx) {
      const { status = 400 } = cause as { status?: number };
      ctx.throw(status, 'the form cannot be read', { cause });
    },
  }) as Middleware;
}
