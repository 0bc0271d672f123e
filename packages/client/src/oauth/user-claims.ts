import type { IdTokenClaims } from './id-token.ts';

/** Claims about the token rather than the user. */
const PROTOCOL_CLAIMS = [
  'iss',
  'aud',
  'exp',
  'iat',
  'nbf',
  'azp',
  'nonce',
  'auth_time',
  'acr',
  'amr',
  'at_hash',
  'c_hash',
  's_hash',
  'sid',
  'jti',
];

/** What an ID token says about its user, without what it says about itself. */
export function aboutTheUser(claims: IdTokenClaims): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(claims).filter(([name]) => !PROTOCOL_CLAIMS.includes(name)),
  );
}
