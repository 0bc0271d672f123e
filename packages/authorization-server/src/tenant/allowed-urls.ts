import { parseURL } from '@koa-oauth/service';

/** A placeholder of Auth0's in the host of a URL ("Subdomain URL Placeholders"). */
const ORGANIZATION = '{organization_name}';

/** A host with a placeholder in its first label, which two or more labels follow. */
const HOST_WITH_PLACEHOLDER =
  /^(?:[\w-]*\*[\w-]*|\{organization_name\})(?:\.[\w-]+)+\.(?!\d+(?::|$))[\w-]+(?::\d+)?$/;

/** Custom domains have no local counterpart: such an entry matches nothing. */
const CUSTOM_DOMAIN = /\{custom_domain\.metadata\.\w+\}/;

/** A label of a host (RFC 1123 §2.1). */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** The parts of a URL before its host, its host and port, and its path as written. */
const PARTS = /^([a-z][a-z0-9+.-]*:)(?:\/\/([^/?#]*))?([^?#]*)/i;

/** Returns why a URL with a placeholder can't be used; undefined for any other URL. */
export function placeholderFault(entry: string): string | undefined {
  const [, scheme = '', host = ''] = PARTS.exec(entry) ?? [];
  if (!/[*{}]/.test(host) || CUSTOM_DOMAIN.test(host)) return undefined;
  if (/^https?:$/i.test(scheme) && HOST_WITH_PLACEHOLDER.test(host)) return undefined;
  return `give * (or ${ORGANIZATION} alone) once, in the first label of a host such as *.example.com`;
}

/** Checks whether the host of a URL has a placeholder. Such a URL is never the target of a redirect. */
export function hasPlaceholder(url: string): boolean {
  return /[*{}]/.test(parseURL(url)?.host ?? '');
}

/**
 * Checks a redirect URI against the entries with a placeholder. The rest of the text must be equal.
 *
 * @param organization name that `{organization_name}` stands for, if the request names one.
 */
export function matchesPlaceholder(
  entries: readonly string[],
  url: string,
  organization?: string,
): boolean {
  return entries.some((entry) => {
    if (!hasPlaceholder(entry)) return false;
    if (!entry.includes(ORGANIZATION)) return matchesWildcard(entry, url);
    return organization !== undefined && entry.replace(ORGANIZATION, organization) === url;
  });
}

/**
 * Returns the target of a logout if one of the entries allows it. As at Auth0, `*` is one label, and the
 * case of scheme and host, the query and the hash have no effect.
 *
 * @param compareQuery true: query and hash must be those of the entry.
 */
export function allowedLogoutTarget(
  entries: readonly string[],
  url: string,
  { compareQuery = false } = {},
): string | undefined {
  const target = partsOf(url);
  if (target === undefined || hasPlaceholder(url)) return undefined;
  const isAllowed = entries.map(partsOf).some(
    (entry) =>
      entry !== undefined &&
      // Both paths must be equal: the one in the text, and the normalized one that a browser requests.
      [entry.path, entry.pathname].join() === [target.path, target.pathname].join() &&
      (!compareQuery || entry.rest === target.rest) &&
      (entry.origin === target.origin || matchesWildcard(entry.origin, target.origin)),
  );
  return isAllowed ? target.href : undefined;
}

/** Checks whether one of the entries has this origin, which a browser names in lower case. */
export function matchesOrigin(
  entries: readonly string[],
  origin: string,
  organizations: readonly string[] = [],
): boolean {
  // Browsers send "null" for a page without an origin. An entry with its own scheme has this origin too.
  if (origin === 'null' || hasPlaceholder(origin)) return false;
  return entries
    .map((entry) => new URL(entry).origin)
    .some(
      (entry) =>
        entry === origin ||
        matchesPlaceholder([entry], origin) ||
        organizations.some((name) => matchesPlaceholder([entry], origin, name)),
    );
}

/** Compares texts; `*` in the first is a part of one label. */
function matchesWildcard(pattern: string, text: string): boolean {
  const [before = '', after] = pattern.split('*', 2);
  if (after === undefined) return false;
  // A later `*`, in a path, stands for itself.
  const end = pattern.slice(before.length + 1);
  if (text.length <= before.length + end.length) return false;
  if (!text.startsWith(before) || !text.endsWith(end)) return false;
  const replaced = text.slice(before.length, text.length - end.length);
  const prefix = before.slice(before.lastIndexOf('/') + 1);
  const [suffix = ''] = end.split('.', 1);
  return /^[a-z0-9-]+$/i.test(replaced) && LABEL.test(prefix + replaced + suffix);
}

function partsOf(url: string) {
  const [, , , path = ''] = PARTS.exec(url) ?? [];
  const parsed = parseURL(url);
  if (parsed === undefined || parsed.username || parsed.password) return undefined;
  const { protocol, host, pathname, search, hash, href } = parsed;
  return { origin: `${protocol}//${host}`, path, pathname, rest: search + hash, href };
}
