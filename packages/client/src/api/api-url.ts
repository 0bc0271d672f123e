import { parseURL } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';

/**
 * Resolves a path against an API's address and lets nothing out of it: not to another origin, not
 * above the address's own path, not to other credentials.
 *
 * @param baseURL the API's address
 * @param path relative to it; one slash at its beginning means nothing
 * @throws OidcError `ERR_API_URL`
 */
export function resolveApiURL(baseURL: string, path: string): URL {
  const base = new URL(baseURL.endsWith('/') ? baseURL : `${baseURL}/`);
  const relative = path.startsWith('/') ? path.slice(1) : path;
  // "./" keeps a first segment like "https:" from being read as a scheme, "//" as a host.
  const url = parseURL(`./${relative}`, base);
  if (/[\p{Cc}\\]/u.test(path) || !url || !isInside(base, url)) {
    throw new OidcError('ERR_API_URL', { detail: "a path must stay below the API's address" });
  }
  return url;
}

/** Reports whether a URL lies at or below an API's address. */
export function isInside(base: URL, url: URL): boolean {
  return (
    url.origin === base.origin &&
    url.username === base.username &&
    url.password === base.password &&
    url.pathname.startsWith(base.pathname) &&
    !climbs(url.pathname)
  );
}

// A server may decode "..%2f" where URL resolution does not, or leave out what follows a ";".
function climbs(pathname: string): boolean {
  try {
    return decodeURIComponent(pathname)
      .split(/[\\/]/)
      .some((segment) => /^\.\.?(;|$)/.test(segment));
  } catch {
    return true;
  }
}
