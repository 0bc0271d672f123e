import type { Context, Middleware } from 'koa';
import { MalformedTarget } from './errors.ts';

/** The path of a request; undefined when its target is no URL, as `http://[/`, where Koa's own getter throws. */
export function pathOf(ctx: Pick<Context, 'path'>): string | undefined {
  try {
    return ctx.path;
  } catch {
    return undefined;
  }
}

/** Refuses a request whose target can't be read (RFC 9112 §3.2), before anything else asks for its path. */
export const requestTarget: Middleware = async function requestTarget(ctx, next) {
  if (pathOf(ctx) === undefined) throw new MalformedTarget();
  await next();
};
