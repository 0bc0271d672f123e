import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG = { authTagLength: 16 };

/**
 * Authenticated encryption of small values: JWE (RFC 7516) with `dir` and `A256GCM`. The key is
 * derived by HKDF (RFC 5869) from a secret, a salt and the purpose.
 *
 * It uses Node's own cipher: each request opens a session, and Web Crypto costs several times as
 * much.
 */
export class Seal {
  readonly #ring: readonly { readonly secret: string; readonly header: string }[];
  readonly #purpose: string;

  /**
   * @param secrets newest first: the first seals, each opens, so a secret can be replaced while
   *   values sealed under the old one live on
   * @param purpose a value sealed for one purpose never opens for another
   */
  constructor(secrets: readonly string[], purpose: string) {
    this.#ring = secrets.map((secret) => ({ secret, header: headerOf(secret) }));
    this.#purpose = purpose;
  }

  /** Encrypts a JSON value. Only the same `salt` opens it again. */
  seal(value: unknown, salt: string): string {
    const newest = this.#ring[0];
    if (!newest) throw new TypeError('a seal needs a secret');
    const { secret, header } = newest;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#deriveKey(secret, salt), iv, TAG);
    cipher.setAAD(Buffer.from(header));
    const ciphertext = cipher.update(JSON.stringify(value), 'utf8', 'base64url');
    const rest = cipher.final('base64url');
    const tag = cipher.getAuthTag().toString('base64url');
    return [header, '', iv.toString('base64url'), ciphertext + rest, tag].join('.');
  }

  /** Returns the value, or undefined when none of the secrets opens it. */
  open(sealed: string, salt: string): unknown {
    try {
      const [header, key, iv = '', ciphertext = '', tag = '', ...more] = sealed.split('.');
      const match = this.#ring.find((entry) => entry.header === header);
      if (!match || key !== '' || more.length > 0) return undefined;
      const bytes = Buffer.from(iv, 'base64url');
      if (bytes.length !== IV_BYTES) return undefined;
      const decipher = createDecipheriv(CIPHER, this.#deriveKey(match.secret, salt), bytes, TAG);
      decipher.setAAD(Buffer.from(match.header)).setAuthTag(Buffer.from(tag, 'base64url'));
      const plaintext = decipher.update(ciphertext, 'base64url');
      return JSON.parse(Buffer.concat([plaintext, decipher.final()]).toString());
    } catch {
      return undefined;
    }
  }

  #deriveKey(secret: string, salt: string): Uint8Array {
    const info = `koa-oauth ${this.#purpose}`;
    return new Uint8Array(hkdfSync('sha256', secret, salt, info, KEY_BYTES));
  }
}

/** Returns the one header accepted for a secret: a value cannot choose its algorithm. */
function headerOf(secret: string): string {
  const kid = Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth kid', 6)).toString('base64url');
  return Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid })).toString('base64url');
}
