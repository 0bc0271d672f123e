import type { Context, Middleware } from 'koa';

/** The path of a request; undefined when its target is no URL, which makes `ctx.path` throw. */
function pathOf(ctx: Pick<Context, 'path'>): string | undefined {
  try {
    return ctx.path ?? undefined;
  } catch {
    return undefined;
  }
}

/** Refuses a request whose target is no URL, so that everything behind may read `ctx.path`. */
export function refuseUnreadableTarget(): Middleware {
  return async function refuseUnreadableTarget(ctx, next) {
    if (pathOf(ctx) === undefined) ctx.throw(400, 'the request target cannot be read');
    await next();
  };
}

/** The path as the engine's router takes it, which minds neither case nor a slash at the end. */
export function endpointOf(ctx: Pick<Context, 'path'>): string | undefined {
  const path = pathOf(ctx);
  return path === '/' ? path : path?.toLowerCase().replace(/\/+$/, '');
}
