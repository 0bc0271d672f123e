/** Characters of a URI (RFC 3986 §2), and those that web addresses have too: no space, `"`, `<`, `>`, `\`. */
const CHARACTERS = /^[!#-;=?-[\]-~]+$/;
const HTTP_URI = /^(https?):\/\/([\w.~-]+|\[[\da-f:.]+\])(?::(\d*))?([/?#].*)?$/i;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' };

/**
 * Normalizes an http URI and removes query and fragment, to compare `htu` with the address of a request
 * (RFC 9449 §4.3; RFC 3986 §6.2.2, §6.2.3): case of scheme and host, default port, empty path,
 * percent-encoding.
 *
 * No URL parser of browsers is used, because it accepts and repairs what is no URI. A URI with a user, a
 * backslash, dot segments or an incomplete escape is never equal to the address of a request.
 *
 * @returns undefined for a text that is no such URI
 */
export function normalizeHttpURI(uri: string): string | undefined {
  const [, givenScheme, host, port = '', rest = ''] = HTTP_URI.exec(uri) ?? [];
  if (givenScheme === undefined || host === undefined || !CHARACTERS.test(uri)) return undefined;
  const scheme = givenScheme.toLowerCase();
  const path = normalizePath(rest);
  if (path === undefined) return undefined;
  const suffix = port === '' || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`;
  return `${scheme}://${host.toLowerCase()}${suffix}${path}`;
}

/** Normalizes the path of a request target, without its query. @returns undefined if it is none */
export function normalizePath(target: string): string | undefined {
  const end = target.search(/[?#]/);
  const path = (end === -1 ? target : target.slice(0, end)) || '/';
  if (!path.startsWith('/') || !CHARACTERS.test(path)) return undefined;
  const normal = path.includes('%') ? normalizeEscapes(path) : path;
  // Servers differ in the resource that they find behind dot segments.
  if (normal === undefined || (normal.includes('/.') && /\/\.\.?(?:\/|$)/.test(normal))) {
    return undefined;
  }
  return normal;
}

/** Decodes escapes of unreserved characters, and writes the others in upper case. */
function normalizeEscapes(path: string): string | undefined {
  if (/%(?![\da-f]{2})/i.test(path)) return undefined;
  return path.replace(/%../g, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return /[\w.~-]/.test(character) ? character : triplet.toUpperCase();
  });
}
