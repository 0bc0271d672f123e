import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';

/** The cookies of one request and its response, all with the same attributes. */
export interface CookieJar {
  get(name: string): string | undefined;
  /** @param maxAge seconds */
  set(name: string, value: string, maxAge: number): void;
  clear(name: string): void;
  /** Returns the names that the request carries and that fit. */
  names(pattern: RegExp): string[];
}

/** `__Host-` (RFC 6265bis §4.1.3.2) prevents sibling subdomains from setting the cookie. */
export function cookiePrefix(secure: boolean): string {
  return secure ? '__Host-' : '';
}

/** Browsers keep fewer than 200 cookies for a host. */
const MAX_COOKIES = 1000;

export function cookieJar(
  ctx: Pick<Context, 'cookies' | 'get' | 'res'>,
  secure: boolean,
): CookieJar {
  // The app's own address says whether the browser speaks https: a proxy may end TLS.
  ctx.cookies.secure = secure;
  const carried = readCookies(ctx.get('Cookie'));
  const attributes = { httpOnly: true, sameSite: 'lax', path: '/', secure, signed: false } as const;

  return {
    get: (name) => carried.get(name) || undefined,
    set(name, value, maxAge) {
      ctx.cookies.set(name, value, { ...attributes, maxAge: maxAge * 1000, overwrite: true });
      addMaxAge(ctx.res, name, maxAge);
    },
    clear(name) {
      ctx.cookies.set(name, '', { ...attributes, expires: new Date(0), overwrite: true });
    },
    names: (pattern) => [...carried.keys()].filter((name) => pattern.test(name)),
  };
}

/**
 * Adds the age to a cookie that was set: Koa writes only `Expires`, and some browsers compare it with a clock
 * that can be wrong.
 */
function addMaxAge(res: ServerResponse, name: string, maxAge: number): void {
  const lines = [res.getHeader('Set-Cookie') ?? []].flat().map(String);
  const isNew = (line: string) => line.startsWith(`${name}=`);
  res.setHeader(
    'Set-Cookie',
    lines.map((line) => (isNew(line) ? `${line}; max-age=${maxAge}` : line)),
  );
}

/**
 * Reads the cookies of a header. The first of one name counts: browsers put the longer path first
 * (RFC 6265 §5.4). `ctx.cookies.get` would cache a pattern for each name forever, and clients choose
 * the names.
 */
function readCookies(header: string): Map<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of header.split(';', MAX_COOKIES)) {
    const [before = '', ...value] = pair.split('=');
    // Browsers put only these here; they do not protect `__Host-` behind any other white space.
    const name = before.replace(/^[ \t]+/, '');
    if (value.length === 0 || name === '' || cookies.has(name)) continue;
    cookies.set(name, value.join('=').trim());
  }
  return cookies;
}
