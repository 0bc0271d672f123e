/** Attributes of a challenge (RFC 6750 §3, RFC 9449 §7.1). */
export interface Challenge {
  readonly error: string | undefined;
  readonly description: string | undefined;
  readonly scope: string | undefined;
}

export type ChallengeScheme = 'Bearer' | 'DPoP';

/** Limit for the pattern below, whose time grows with the square of the length. */
const MAX_CHALLENGE_LENGTH = 2048;
const PART =
  /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))|(?:^|,)\s*(bearer|dpop|[\w-]+(?=\s+[\w-]+\s*=))(?=[\s,]|$)/gi;

/**
 * Reads the first challenge of a scheme in a `WWW-Authenticate` header, which can have several.
 *
 * @returns undefined when there is none
 */
export function parseChallenge(value = '', scheme: ChallengeScheme): Challenge | undefined {
  let attributes: Map<string, string> | undefined;
  for (const [, name, quoted, bare, found] of value.slice(0, MAX_CHALLENGE_LENGTH).matchAll(PART)) {
    if (found !== undefined) {
      if (attributes) break;
      if (found.toLowerCase() === scheme.toLowerCase()) attributes = new Map();
    } else if (attributes) {
      const key = name?.toLowerCase() ?? '';
      const text = bare ?? quoted?.replaceAll(/\\(.)/g, '$1') ?? '';
      if (!attributes.has(key)) attributes.set(key, text);
    }
  }
  return (
    attributes && {
      error: attributes.get('error'),
      description: attributes.get('error_description'),
      scope: attributes.get('scope'),
    }
  );
}
