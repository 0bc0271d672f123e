import type { Context, Middleware, Next } from 'koa';

/**
 * The endpoints never follow the request's Host or X-Forwarded-* header: a server reached as
 * 127.0.0.1 would otherwise publish addresses that differ from its issuer's. What was sent is kept as
 * `ctx.state.sentHost`.
 */
export function issuerOrigin(issuer: string): Middleware {
  const { host, protocol } = new URL(issuer);
  return function issuerOrigin(ctx: Context, next: Next) {
    const { headers } = ctx.req;
    delete headers['x-forwarded-host'];
    delete headers['x-forwarded-for'];
    ctx.state.sentHost = headers.host;
    headers.host = host;
    headers['x-forwarded-proto'] = protocol.slice(0, -1);
    return next();
  };
}
