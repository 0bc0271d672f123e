import type { Context, Middleware } from 'koa';
import { OidcError } from '../errors.ts';

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Refuses requests that change something and come from a page of another site (CSRF). `auth` does
 * so for everything behind it; this is for routes that stand before it.
 *
 * Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`. A client
 * that says neither is no browser, so it carries nobody's cookies.
 *
 * @param baseURL the app's own address
 * @returns middleware that throws OidcError `ERR_CROSS_SITE` (403)
 */
export function refuseCrossSite({ baseURL }: { baseURL: string }): Middleware {
  return async function refuseCrossSite(ctx, next) {
    if (isCrossSite(ctx, baseURL)) throw new OidcError('ERR_CROSS_SITE');
    await next();
  };
}

export function isCrossSite(ctx: Pick<Context, 'method' | 'get'>, baseURL: string): boolean {
  if (SAFE_METHODS.includes(ctx.method)) return false;
  const site = ctx.get('Sec-Fetch-Site');
  if (site) return site !== 'same-origin' && site !== 'none';
  const origin = ctx.get('Origin');
  return origin !== '' && origin !== new URL(baseURL).origin;
}
