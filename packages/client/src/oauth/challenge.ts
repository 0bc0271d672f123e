/** A Bearer challenge (RFC 6750 §3), as far as it says something. */
interface BearerChallenge {
  readonly error: string | undefined;
  readonly scope: string | undefined;
}

/** More says nothing; the patterns take time by the square of it. */
const MAX_LENGTH = 2048;
const ATTRIBUTE = /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g;

/** Reads the Bearer challenge of a `WWW-Authenticate` header; undefined when there is none. */
export function parseBearerChallenge(value = ''): BearerChallenge | undefined {
  const header = value.slice(0, MAX_LENGTH);
  const start = /(?:^|,)\s*bearer(?=\s|,|$)/i.exec(header);
  if (!start) return undefined;
  const attributes = new Map<string, string>();
  for (const [, name, quoted, bare] of header.slice(start.index).matchAll(ATTRIBUTE)) {
    const key = name?.toLowerCase() ?? '';
    if (!attributes.has(key)) {
      attributes.set(key, bare ?? quoted?.replaceAll(/\\(.)/g, '$1') ?? '');
    }
  }
  return { error: attributes.get('error'), scope: attributes.get('scope') };
}
