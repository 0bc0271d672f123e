import { createHmac, hkdfSync } from 'node:crypto';
import type { IdTokenClaims } from '../oauth/id-token.ts';

/** Where a session is found again: by its user, and by its session at the issuer. */
export type Term = readonly [kind: 'sub' | 'sid', iss: string, value: string];

export interface SessionTerms {
  /** What a new session is kept under. */
  of(claims: Pick<IdTokenClaims, 'iss' | 'sub' | 'sid'>): string[];
  /** All under which a session may have been kept: one for each secret. */
  lookUp(term: Term): string[];
}

/**
 * Terms that show a store no name: each is an HMAC under a key that is derived from a secret.
 *
 * @param secrets newest first
 */
export function createSessionTerms(secrets: readonly string[]): SessionTerms {
  const keys = secrets.map((secret) =>
    Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth session term', 32)),
  );
  const lookUp = (term: Term): string[] => {
    // JSON keeps the parts apart: no two terms are one text.
    const text = JSON.stringify(term);
    return keys.map((key) => createHmac('sha256', key).update(text).digest('base64url'));
  };

  return {
    of({ iss, sub, sid }) {
      const terms: Term[] = [['sub', iss, sub]];
      if (typeof sid === 'string' && sid !== '') terms.push(['sid', iss, sid]);
      return terms.flatMap((term) => lookUp(term).slice(0, 1));
    },
    lookUp,
  };
}
