import type { Context, Middleware } from 'koa';
import { OidcError } from '../errors.ts';

/** Reports whether a browser, or a framework's router, loads a page before the user asked for it. */
export function isPrefetch(request: Pick<Context, 'get'>): boolean {
  const header = (name: string) => request.get(name);
  return (
    ['Sec-Purpose', 'X-Sec-Purpose', 'Purpose', 'X-Purpose', 'X-Moz'].some((name) =>
      /\b(prefetch|prerender|preview)\b/i.test(header(name)),
    ) ||
    ['Next-Router-Prefetch', 'Next-Router-Segment-Prefetch', 'X-Middleware-Prefetch'].some(
      (name) => header(name) !== '',
    )
  );
}

/**
 * Reports whether a script sent the request: it could not follow a redirect to another origin. A service
 * worker that passes on a navigation gives the redirect back to the browser, so it is none.
 */
export function isScript(request: Pick<Context, 'get'>): boolean {
  const header = (name: string) => request.get(name).toLowerCase();
  if (header('X-Requested-With') === 'xmlhttprequest') return true;
  return header('Sec-Fetch-Dest') === 'empty' && header('Sec-Fetch-Mode') !== 'navigate';
}

/** Reports whether a browser navigates to a page, so that it can follow a redirect. */
export function isNavigation(request: Pick<Context, 'get' | 'method'>): boolean {
  const header = (name: string) => request.get(name).toLowerCase();
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  if (isScript(request)) return false;
  const [destination, mode] = [header('Sec-Fetch-Dest'), header('Sec-Fetch-Mode')];
  if (destination) return ['document', 'iframe', 'frame', 'empty'].includes(destination);
  const accept = header('Accept');
  if (accept.includes('text/html')) return true;
  // Command-line clients and a script's fetch() accept any type.
  const anything = accept === '' || accept.includes('*/*');
  return anything && !accept.includes('json') && (mode === '' || mode === 'navigate');
}

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Refuses requests that change something and come from a page of another site (CSRF). `auth()` does so
 * for everything behind it; this is for routes that stand before it.
 *
 * Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`. A client that
 * sends neither is not a browser, so it has no user's cookies.
 *
 * @param baseURL the app's own address
 * @returns middleware that throws OidcError `ERR_CROSS_SITE` (403)
 * @example
 * router.post('/theme', refuseCrossSite({ baseURL: 'https://app.example.com' }), setTheme);
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
