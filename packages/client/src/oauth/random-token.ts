import { randomBytes } from 'node:crypto';

/** 256 random bits, base64url: for state, nonce, code verifier and session id alike. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}
