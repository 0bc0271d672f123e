import { createTestKey, signInput, signJws, type TestKey } from './test-key.ts';

/** The claims of a token that an API lets in; those of RFC 9068 §2.2 are added unless given. */
export interface HostileClaims {
  readonly aud: string | readonly string[];
  readonly [claim: string]: unknown;
}

/** Issuer, key and time of forged tokens. */
export interface ForgeOptions {
  readonly issuer: string;
  readonly key: TestKey;
  /** Seconds since the epoch. */
  readonly now: number;
  readonly claims: HostileClaims;
  readonly attacker?: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Parts of hostile tokens: a good token, and ways to change it before or after signing. */
export interface Forge {
  readonly issuer: string;
  readonly audience: string;
  /** Seconds since the epoch. */
  readonly now: number;
  /** The key that a good token is signed with, and another one under the same name. */
  readonly key: TestKey;
  readonly stranger: TestKey;
  /** Address that must get no request. */
  readonly attacker: string;
  readonly header: Members;
  readonly good: string;
  /** The good claims as JSON, changed. */
  readonly json: (claims?: Members) => string;
  /** A genuine signature over changed claims and header; undefined leaves a member out. */
  readonly token: (claims?: Members, header?: Members, key?: TestKey) => string;
  /** A genuine signature over any payload, and any header. */
  readonly raw: (payload: string | Buffer, header?: string | Buffer) => string;
  /** A genuine signature over two parts, however they are spelled. */
  readonly spelled: (header: string, payload: string) => string;
}

/** @throws TypeError when the claims name no audience */
export function createForge({
  issuer,
  key,
  now,
  claims,
  attacker = 'https://attacker.example/',
}: ForgeOptions): Forge {
  const [audience] = [claims.aud].flat();
  if (typeof audience !== 'string') throw new TypeError('claims.aud must name the API');
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
    stranger: { ...strangerOf(key), kid: key.kid, alg: key.alg },
    attacker,
    header,
    good: token(),
    json: (change) => JSON.stringify({ ...goodClaims, ...change }),
    token,
    raw: (payload, head = JSON.stringify(header)) => signJws(head, payload, key),
    spelled: (head, payload) => signInput(`${head}.${payload}`, key),
  };
}

const strangers = new Map<string, TestKey>();

/** Returns a key of the same type, made once: an RSA key takes a tenth of a second. */
function strangerOf({ alg, publicKey }: TestKey): TestKey {
  const type = `${publicKey.asymmetricKeyType} ${publicKey.asymmetricKeyDetails?.namedCurve}`;
  const stranger = strangers.get(type) ?? createTestKey({ alg });
  strangers.set(type, stranger);
  return stranger;
}
