import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG = { authTagLength: 16 };

/**
 * Authenticated encryption of small values: JWE (RFC 7516) with `dir` and `A256GCM`. The key is
 * derived by HKDF (RFC 5869) from a secret, a salt and the purpose.
 *
 * It uses the cipher of Node, because each request decrypts a session, and Web Crypto is several times
 * slower.
 */
export class Seal {
  readonly #ring: readonly { readonly secret: string; readonly header: string }[];
  readonly #purpose: string;

  /**
   * @param secrets newest first. The first encrypts, each decrypts, so a new secret can be added while
   *   values encrypted with the old one stay valid
   * @param purpose a value encrypted for one purpose cannot be decrypted for another
   */
  constructor(secrets: readonly string[], purpose: string) {
    this.#ring = secrets.map((secret) => ({ secret, header: headerOf(secret) }));
    this.#purpose = purpose;
  }

  /** Encrypts a JSON value. `open` needs the same `salt`. */
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

  /** Decrypts a value. @returns undefined when none of the secrets fits */
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

/** Returns the only header that is accepted for a secret, so a value cannot choose its algorithm. */
function headerOf(secret: string): string {
  const kid = Buffer.from(hkdfSync('sha256', secret, '', 'koa-oauth kid', 6)).toString('base64url');
  return Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid })).toString('base64url');
}
