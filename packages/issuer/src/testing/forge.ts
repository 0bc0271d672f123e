import { signInput, signJws } from '../signed-jwt.ts';
import { createTestKey, type TestAlgorithm, type TestKey } from './test-key.ts';

/** Claims of a token that an API accepts. Those that RFC 9068 §2.2 requires have defaults. */
export interface GoodClaims {
  readonly aud: string | readonly string[];
  readonly [claim: string]: unknown;
}

/** Options of `hostileTokens`. */
export interface HostileTokensOptions {
  readonly issuer: string;
  readonly key: TestKey;
  /** Seconds since the epoch. */
  readonly now: number;
  /** Claims of the good token that each hostile one is made from. */
  readonly claims: GoodClaims;
  /** Address to which some tokens point for a key. Default: `https://attacker.example/` */
  readonly attacker?: string | undefined;
}

type Members = Readonly<Record<string, unknown>>;

/** A good token, and ways to change it before it is signed or after. */
export interface Forge {
  readonly issuer: string;
  readonly audience: string;
  /** Seconds since the epoch. */
  readonly now: number;
  /** The issuer's key, which signs the good token. */
  readonly key: TestKey;
  /** A key with the same `kid` and `alg` that is not the issuer's. */
  readonly stranger: TestKey;
  /** Address that must get no request. */
  readonly attacker: string;
  readonly header: Members;
  readonly good: string;
  /** Returns the good claims with changes, as JSON. */
  readonly json: (claims?: Members) => string;
  /** Signs the good claims and header with changes. Undefined removes a member. */
  readonly token: (claims?: Members, header?: Members, key?: TestKey) => string;
  /** Encodes any payload and header, and signs them. */
  readonly raw: (payload: string | Buffer, header?: string | Buffer) => string;
  /** Signs two encoded parts as they are. */
  readonly signParts: (header: string, payload: string) => string;
}

/** Makes the good token. @throws TypeError when the claims name no audience */
export function createForge({
  issuer,
  key,
  now,
  claims,
  attacker = 'https://attacker.example/',
}: HostileTokensOptions): Forge {
  const [audience] = [claims?.aud].flat();
  if (typeof audience !== 'string' || audience === '')
    throw new TypeError('claims.aud must name the API');
  const header = { alg: key.alg, typ: 'at+jwt', kid: key.kid };
  const iat = Math.floor(now);
  const goodClaims = {
    iss: issuer,
    iat,
    exp: iat + 3600,
    sub: 'alice',
    client_id: 'web',
    jti: 'hostile',
    ...claims,
  };
  const token: Forge['token'] = (change, head, by = key) =>
    signJws({ ...header, ...head }, { ...goodClaims, ...change }, by);
  return {
    issuer,
    audience,
    now: iat,
    key,
    stranger: strangerOf(key),
    attacker,
    header,
    good: token(),
    json: (change) => JSON.stringify({ ...goodClaims, ...change }),
    token,
    raw: (payload, head = JSON.stringify(header)) => signJws(head, payload, key),
    signParts: (head, payload) => signInput(`${head}.${payload}`, key),
  };
}

const strangers = new Map<string, TestKey>();

/** Returns another key of the same `kid` and `alg`: one for each type, as making an RSA key takes long. */
export function strangerOf({ kid, alg, publicKey }: TestKey): TestKey {
  const type = `${publicKey.asymmetricKeyType} ${publicKey.asymmetricKeyDetails?.namedCurve}`;
  const stranger = strangers.get(type) ?? createTestKey({ alg });
  strangers.set(type, stranger);
  return { ...stranger, kid, alg };
}

/** Another algorithm that the same key can sign with; for Ed25519 one of another curve. */
export const SIBLINGS: Record<TestAlgorithm, TestAlgorithm | 'Ed448'> = {
  RS256: 'PS256',
  RS384: 'PS384',
  RS512: 'PS512',
  PS256: 'RS256',
  PS384: 'RS384',
  PS512: 'RS512',
  ES256: 'ES384',
  ES384: 'ES256',
  ES512: 'ES256',
  EdDSA: 'Ed448',
  Ed25519: 'Ed448',
};

/** Puts a byte that is no UTF-8 into a member before the others. */
export function invalidUtf8(json: string, byte: number): Buffer {
  return Buffer.concat([Buffer.from('{"x":"'), Buffer.of(byte), Buffer.from(`",${json.slice(1)}`)]);
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Changes only bits at the end that belong to no byte, or adds a character without one (RFC 4648 §3.5). */
export function respell(part: string): string {
  if (part.length % 4 === 0) return `${part}A`;
  return part.slice(0, -1) + ALPHABET[ALPHABET.indexOf(part.slice(-1)) ^ 1];
}
