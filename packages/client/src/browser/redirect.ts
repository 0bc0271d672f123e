import type { Context } from 'koa';

/** Bounds the resolved path too: it is stored, sealed, in a cookie, of which browsers keep 4096 bytes. */
export const MAX_PATH_LENGTH = 2000;
// A browser drops tab, CR and LF from a URL and reads "\" as "/", so "/\t/host" leaves the origin.
const UNSAFE = /[\p{Cc}\p{Cf}\s\\]/u;

/**
 * Turns an untrusted value into a path of the app's own origin to return to.
 *
 * @param value whatever was asked for: only an absolute path, with or without query, is accepted
 * @param baseURL the app's own address
 * @returns path, query and fragment, which begin with exactly one slash; `/` for anything else, and
 *   for what takes more than 2000 bytes
 * @example
 * ctx.redirect(safeReturnTo(ctx.query.returnTo, 'https://app.example.com'));
 */
export function safeReturnTo(value: unknown, baseURL: string): string {
  if (typeof value !== 'string' || value.length > MAX_PATH_LENGTH) return '/';
  if (!/^\/(?!\/)/.test(value) || UNSAFE.test(value)) return '/';
  const base = new URL(baseURL);
  if (!URL.canParse(value, base.href)) return '/';
  const url = new URL(value, base);
  // "/.//host" has the path "//host" once its dots are resolved: a URL of another origin.
  if (url.origin !== base.origin || url.pathname.startsWith('//')) return '/';
  const path = url.pathname + url.search + url.hash;
  return path.length <= MAX_PATH_LENGTH ? path : '/';
}

/** Answers a request with a redirect that is neither stored nor named in a `Referer`. */
export function redirect(ctx: Context, url: string): void {
  // RFC 9700 §4.12: never 307, which would send a form's fields along.
  ctx.status = ctx.method === 'GET' || ctx.method === 'HEAD' ? 302 : 303;
  ctx.set({ 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' });
  ctx.redirect(url);
}

/**
 * Empties the browser's cache of this app: the back button must not show a user's pages to the next user of
 * the browser. A value that the app has set stays.
 */
export function clearCache({ response }: Pick<Context, 'response'>): void {
  if (!response.get('Clear-Site-Data')) response.set('Clear-Site-Data', '"cache"');
}
