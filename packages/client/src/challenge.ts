/** A Bearer challenge (RFC 6750 §3), as far as it says something. */
export interface BearerChallenge {
  readonly error: string | undefined;
  readonly scope: string | undefined;
}

const ATTRIBUTE = /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g;

/** Reads the Bearer challenge of a `WWW-Authenticate` header; undefined when there is none. */
export function parseBearerChallenge(header: string | undefined): BearerChallenge | undefined {
  const start = /(?:^|,)\s*bearer(?=\s|,|$)/i.exec(header ?? '');
  if (!header || !start) return undefined;
  const attributes = new Map<string, string>();
  for (const [, name, quoted, bare] of header.slice(start.index).matchAll(ATTRIBUTE)) {
    const key = name?.toLowerCase() ?? '';
    if (!attributes.has(key)) {
      attributes.set(key, bare ?? quoted?.replaceAll(/\\(.)/g, '$1') ?? '');
    }
  }
  return { error: attributes.get('error'), scope: attributes.get('scope') };
}
