import type { Middleware } from 'koa';

/** `GET /healthz`: the process is up. Needs neither the issuer nor the API. */
export function healthRoute(): Middleware {
  return async function health(ctx, next) {
    if (ctx.path !== '/healthz' || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    ctx.body = { status: 'ok' };
  };
}
