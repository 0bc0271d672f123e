import { InvalidOptions } from './errors.ts';

// Names under localhost are loopback too (RFC 6761 §6.3), and a name may end with the dot of the root.
const LOOPBACK = /^((?:[\w-]+\.)*localhost\.?|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Reports whether a token or a key may be sent to a URL: it is `https`, or `http` on loopback (RFC 8252
 * §7.3).
 *
 * @param unsafeAllowHTTP accepts `http` on any host
 * @example
 * isSecureURL(new URL('http://127.0.0.1:3002')); // true
 * isSecureURL(new URL('http://tenant.example.com')); // false
 */
export function isSecureURL(url: URL, unsafeAllowHTTP = false): boolean {
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && (unsafeAllowHTTP || isLoopback(url));
}

/**
 * Reports whether the host of a URL is this machine: `localhost`, a name under it, 127.0.0.0/8 or `[::1]`
 * (RFC 8252 §7.3, RFC 6761 §6.3).
 *
 * @example
 * isLoopback(new URL('http://acme.localhost:3002')); // true
 */
export function isLoopback(url: URL): boolean {
  return LOOPBACK.test(url.hostname);
}

/**
 * Parses an issuer identifier (RFC 8414 §2): a URL with scheme `https` (`http` on a loopback address),
 * without query, fragment or credentials.
 *
 * @param unsafeAllowHTTP accepts `http` on any host
 * @throws InvalidOptions that says what is expected
 * @example
 * const { origin } = parseIssuerIdentifier('https://tenant.example.com/');
 */
export function parseIssuerIdentifier(value: unknown, unsafeAllowHTTP = false): URL {
  // A URL parser ignores white space; the comparison with the metadata does not.
  const url = parseURL(value);
  if (typeof value !== 'string' || /\s/.test(value) || !url) {
    throw new InvalidOptions(
      'issuerBaseURL must be an absolute URL such as https://tenant.example.com/',
    );
  }
  if (!isSecureURL(url, unsafeAllowHTTP)) {
    throw new InvalidOptions('issuerBaseURL must use https (http only on a loopback address)');
  }
  if (url.username || url.password || value.includes('?') || value.includes('#')) {
    throw new InvalidOptions('issuerBaseURL must have no query, fragment or credentials');
  }
  const [before, after] = url.pathname.split(/\/\.well-known\/[\w.-]+/);
  if (after !== undefined) {
    const issuer = `${url.origin}${before || after || '/'}`;
    throw new InvalidOptions(`issuerBaseURL must be the issuer, not its metadata: ${issuer}`);
  }
  return url;
}

/**
 * Parses a URL, as `URL.parse` of Node 22 does. `URL.canParse` is not used: that of Node 20 and 22 rejects
 * an international name such as `https://é.example/` once the function that calls it is optimized.
 *
 * @returns `undefined` for any value except the text of a URL
 * @example
 * parseURL('https://tenant.example.com/')?.hostname; // 'tenant.example.com'
 * parseURL('tenant.example.com'); // undefined
 */
export function parseURL(value: unknown, base?: string | URL): URL | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return new URL(value, base);
  } catch {
    return undefined;
  }
}

/**
 * Reports whether two issuer identifiers are the same. The slash at their end may differ.
 *
 * @example
 * isSameIssuer('https://tenant.example.com', 'https://tenant.example.com/'); // true
 */
export function isSameIssuer(configured: string, declared: string): boolean {
  return withoutSlash(configured) === withoutSlash(declared);
}

export function withoutSlash(value: string): string {
  return value.endsWith('/') ? value.slice(0, -1) : value;
}
