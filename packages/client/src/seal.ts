import { hkdfSync } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';

export interface Seal {
  /** Encrypts a value of JSON; only the same `salt` opens it again. */
  seal(value: unknown, salt: string): Promise<string>;
  /** @returns the value, or undefined when no secret of ours opens it */
  open(sealed: string, salt: string): Promise<unknown>;
}

const KEY_BYTES = 32;

/**
 * Authenticated encryption of small values: JWE (RFC 7516) with `dir` and `A256GCM`, its key
 * derived by HKDF (RFC 5869) from a secret, a salt and the purpose.
 *
 * @param secrets newest first: the first seals, each opens, so a secret can be replaced while
 *   values sealed under the old one live on
 * @param purpose a value sealed for one purpose never opens for another
 */
export function createSeal(secrets: readonly string[], purpose: string): Seal {
  const ring = secrets.map((secret) => ({ secret, kid: keyId(secret) }));
  const deriveKey = (secret: string, salt: string) =>
    new Uint8Array(hkdfSync('sha256', secret, salt, `koa-oauth ${purpose}`, KEY_BYTES));

  return {
    async seal(value, salt) {
      const newest = ring[0];
      if (!newest) throw new TypeError('a seal needs a secret');
      return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(value)))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: newest.kid })
        .encrypt(deriveKey(newest.secret, salt));
    },

    async open(sealed, salt) {
      try {
        const { kid } = decodeProtectedHeader(sealed);
        const match = ring.find((entry) => entry.kid === kid);
        if (!match) return undefined;
        const { plaintext } = await compactDecrypt(sealed, deriveKey(match.secret, salt), {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        });
        return JSON.parse(new TextDecoder().decode(plaintext));
      } catch {
        return undefined;
      }
    },
  };
}

function keyId(secret: string): string {
  return Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth kid', 6)).toString('base64url');
}
