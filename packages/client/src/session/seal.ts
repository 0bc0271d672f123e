import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

export interface Seal {
  /** Encrypts a value of JSON; only the same `salt` opens it again. */
  seal(value: unknown, salt: string): Promise<string>;
  /** @returns the value, or undefined when no secret of ours opens it */
  open(sealed: string, salt: string): Promise<unknown>;
}

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG = { authTagLength: 16 };

/**
 * Authenticated encryption of small values: JWE (RFC 7516) with `dir` and `A256GCM`, its key
 * derived by HKDF (RFC 5869) from a secret, a salt and the purpose. By Node's own cipher: each
 * request opens a session, and what Web Crypto has to do around it costs several times as much.
 *
 * @param secrets newest first: the first seals, each opens, so a secret can be replaced while
 *   values sealed under the old one live on
 * @param purpose a value sealed for one purpose never opens for another
 */
export function createSeal(secrets: readonly string[], purpose: string): Seal {
  const ring = secrets.map((secret) => ({ secret, header: headerOf(secret) }));
  const deriveKey = (secret: string, salt: string) =>
    new Uint8Array(hkdfSync('sha256', secret, salt, `koa-oauth ${purpose}`, KEY_BYTES));

  return {
    async seal(value, salt) {
      const newest = ring[0];
      if (!newest) throw new TypeError('a seal needs a secret');
      const { secret, header } = newest;
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, deriveKey(secret, salt), iv, TAG);
      cipher.setAAD(Buffer.from(header));
      const ciphertext = cipher.update(JSON.stringify(value), 'utf8', 'base64url');
      const rest = cipher.final('base64url');
      const tag = cipher.getAuthTag().toString('base64url');
      return [header, '', iv.toString('base64url'), ciphertext + rest, tag].join('.');
    },

    async open(sealed, salt) {
      try {
        const [header, key, iv = '', ciphertext = '', tag = '', ...more] = sealed.split('.');
        const match = ring.find((entry) => entry.header === header);
        if (!match || key !== '' || more.length > 0) return undefined;
        const bytes = Buffer.from(iv, 'base64url');
        if (bytes.length !== IV_BYTES) return undefined;
        const decipher = createDecipheriv(CIPHER, deriveKey(match.secret, salt), bytes, TAG);
        decipher.setAAD(Buffer.from(match.header)).setAuthTag(Buffer.from(tag, 'base64url'));
        const plaintext = decipher.update(ciphertext, 'base64url');
        return JSON.parse(Buffer.concat([plaintext, decipher.final()]).toString());
      } catch {
        return undefined;
      }
    },
  };
}

/** Of one text for each secret, so that a value names no algorithm of its own. */
function headerOf(secret: string): string {
  const kid = Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth kid', 6)).toString('base64url');
  return Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid })).toString('base64url');
}
