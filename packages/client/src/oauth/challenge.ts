import { foreignDescription } from '../errors.ts';

/** Attributes of a challenge (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3). */
export interface Challenge {
  readonly error: string | undefined;
  readonly description: string | undefined;
  readonly scope: string | undefined;
  readonly acrValues: string | undefined;
  readonly maxAge: string | undefined;
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
      acrValues: attributes.get('acr_values'),
      maxAge: attributes.get('max_age'),
    }
  );
}

/** Values of `acr` with one space between them. */
export const ACR_VALUES = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/;
/** Limit for what a sign-in's cookie holds twice. */
const MAX_ACR_LENGTH = 512;
const MAX_AGE_SECONDS = /^\d{1,10}$/;

/**
 * Returns the sign-in that a challenge demands (RFC 9470 §3). It becomes part of a URL: if a value is too
 * long, malformed, or looks like a part of a token, the result is empty.
 */
export function demandedSignIn({ acrValues: acr, maxAge }: Challenge): {
  acr?: string;
  maxAge?: number;
} {
  const isUsable =
    (acr === undefined || isSafeAcr(acr)) && (maxAge === undefined || MAX_AGE_SECONDS.test(maxAge));
  if (!isUsable) return {};
  return { ...(acr !== undefined && { acr }), ...(maxAge !== undefined && { maxAge: +maxAge }) };
}

function isSafeAcr(acr: string): boolean {
  if (acr.length > MAX_ACR_LENGTH || !ACR_VALUES.test(acr)) return false;
  return acr.split(' ').every((word) => foreignDescription(word) === word);
}
