import type { Context } from 'koa';

/** The cookies of one request and its response, all with the same attributes. */
export interface CookieJar {
  get(name: string): string | undefined;
  /** @param maxAge seconds */
  set(name: string, value: string, maxAge: number): void;
  clear(name: string): void;
  /** The names that the request carries and that begin so. */
  names(prefix: string): string[];
}

/** `__Host-` (RFC 6265bis §4.1.3.2) keeps neighbouring subdomains from planting a cookie. */
export function cookiePrefix(secure: boolean): string {
  return secure ? '__Host-' : '';
}

export function cookieJar(ctx: Pick<Context, 'cookies' | 'get'>, secure: boolean): CookieJar {
  // Whether the browser speaks https is told by the app's own address: a proxy may end TLS.
  ctx.cookies.secure = secure;
  const attributes = { httpOnly: true, sameSite: 'lax', path: '/', secure, signed: false } as const;

  return {
    get: (name) => ctx.cookies.get(name, { signed: false }) || undefined,
    set(name, value, maxAge) {
      ctx.cookies.set(name, value, { ...attributes, maxAge: maxAge * 1000, overwrite: true });
    },
    clear(name) {
      ctx.cookies.set(name, '', { ...attributes, expires: new Date(0), overwrite: true });
    },
    names(prefix) {
      return ctx
        .get('Cookie')
        .split(';')
        .map((pair) => pair.slice(0, Math.max(pair.indexOf('='), 0)).trim())
        .filter((name) => name.startsWith(prefix));
    },
  };
}
