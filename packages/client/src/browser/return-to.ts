/** Of the path as it comes out: it is kept in a cookie. */
const MAX_LENGTH = 512;
// A browser drops tab, CR and LF from a URL and reads "\" as "/", so "/\t/host" leaves the origin.
const UNSAFE = /[\p{Cc}\p{Cf}\s\\]/u;

/**
 * Makes of a hostile value a place on our own origin to go back to.
 *
 * @param value whatever was asked for: only an absolute path, with or without query, is taken
 * @param baseURL the app's own address
 * @returns path, query and fragment, always beginning with exactly one slash; `/` in place of
 *   anything else, and of what takes more than 512 bytes
 */
export function safeReturnTo(value: unknown, baseURL: string): string {
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return '/';
  if (!/^\/(?!\/)/.test(value) || UNSAFE.test(value)) return '/';
  const base = new URL(baseURL);
  if (!URL.canParse(value, base.href)) return '/';
  const url = new URL(value, base);
  // "/.//host" has the path "//host" once its dots are resolved: a URL of another origin.
  if (url.origin !== base.origin || url.pathname.startsWith('//')) return '/';
  const path = url.pathname + url.search + url.hash;
  return path.length <= MAX_LENGTH ? path : '/';
}
