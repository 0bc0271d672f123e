import type { KeyObject } from 'node:crypto';
import { decodeUnverifiedJwt, SIGNING_ALGORITHMS, type UnverifiedJwt } from '@koa-oauth/issuer';
import { compactVerify } from 'jose';
import { OidcError, type OidcErrorCode } from '../errors.ts';

/** Verified JWT of the issuer, for this client. All other claims are not judged yet. */
export interface SignedJwt {
  readonly alg: string;
  readonly claims: Readonly<Record<string, unknown>> & {
    readonly iss: string;
    readonly iat: number;
  };
}

/** Finds the keys of the issuer that have a token's name. The signature must fit one of them. */
export type FindSigningKeys = (header: {
  alg?: string;
  kid?: string;
}) => Promise<readonly { key: KeyObject; alg: string }[]>;

export interface SignedJwtExpectations {
  /** The metadata's `issuer`, byte for byte. */
  readonly issuer: string;
  readonly clientID: string;
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the clocks may differ. */
  readonly clockTolerance: number;
}

/** Kind of JWT. */
interface SignedJwtKind {
  /**
   * Reports whether a token is of the expected type (RFC 8725 §3.11).
   *
   * @param typ in lower case, without `application/` (RFC 7515 §4.1.9)
   */
  isType: (typ: string | undefined) => boolean;
  /** Error code to throw. */
  code: OidcErrorCode;
  /** Seconds since it was issued. The issuer sends it at once: an older one is a replay. */
  maxAge: number;
}

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const MAX_JWT_LENGTH = 32 * 1024;
/** `JSON.stringify`, with which claims are stored, fails at some thousands. */
const MAX_CLAIM_LEVELS = 100;

/**
 * Verifies a token that the issuer signed for this client: signature, `iss`, `aud`, `iat` and `exp`.
 *
 * @throws OidcError of the code given, its `detail` naming the rule; or what `signingKeys` rejects with
 */
export async function verifySignedJwt(
  unverified: string,
  signingKeys: FindSigningKeys,
  { isType, code, maxAge }: SignedJwtKind,
  expected: SignedJwtExpectations,
): Promise<SignedJwt> {
  const invalid = (detail: string, cause?: unknown) => new OidcError(code, { detail, cause });

  function decode(): UnverifiedJwt {
    if (unverified.length > MAX_JWT_LENGTH) throw invalid('it is too long');
    let decoded: UnverifiedJwt;
    try {
      decoded = decodeUnverifiedJwt(unverified);
    } catch (cause) {
      throw invalid(`it is not a signed JWT: ${(cause as Error).message}`, cause);
    }
    if (areNested(decoded.payload)) throw invalid('its claims are nested too deep');
    return decoded;
  }

  function judgeHeader({ header }: UnverifiedJwt): { alg: string; kid?: string } {
    const { alg, kid, typ, crit, b64 } = header;
    if (typeof alg !== 'string' || !(SIGNING_ALGORITHMS as readonly string[]).includes(alg)) {
      throw invalid('"alg" is not allowed');
    }
    if (typ !== undefined && typeof typ !== 'string') throw invalid('"typ" is not a string');
    if (!isType(typ?.toLowerCase().replace(/^application\//, ''))) {
      throw invalid('"typ" is that of another kind of token');
    }
    // RFC 7515 §4.1.11: no extension is understood here, so none may be critical.
    if (crit !== undefined || b64 !== undefined) throw invalid('"crit" is not understood');
    if (kid === undefined) return { alg };
    if (typeof kid !== 'string') throw invalid('"kid" is not a string');
    return { alg, kid };
  }

  function judge(claims: UnverifiedJwt['payload']): SignedJwt['claims'] {
    const { iss, aud, iat, exp } = claims;
    const { issuer, clientID, now, clockTolerance } = expected;
    if (iss !== issuer) throw invalid('"iss" is not the issuer');
    if (![aud].flat().includes(clientID)) throw invalid('"aud" does not name this client');
    if (!isTime(iat)) throw invalid('"iat" is not a time');
    if (iat - clockTolerance > now) {
      throw invalid(`"iat" lies in the future, by ${iat - now} seconds: compare the clocks`);
    }
    if (now - iat > maxAge + clockTolerance) throw invalid('"iat" is too long ago');
    if (exp !== undefined && !isTime(exp)) throw invalid('"exp" is not a time');
    if (exp !== undefined && now - clockTolerance >= exp) throw invalid('"exp" has passed');
    return { ...claims, iss: issuer, iat };
  }

  const decoded = decode();
  const header = judgeHeader(decoded);
  try {
    await verifyWithOne(unverified, await signingKeys(header));
    return { alg: header.alg, claims: judge(decoded.payload) };
  } catch (error) {
    const { code: errorCode } = error as { code?: unknown };
    if (errorCode === 'ERR_SIGNING_KEY_NOT_FOUND') {
      throw invalid('no key of the issuer fits', error);
    }
    if (typeof errorCode !== 'string' || !/^ERR_(JW|JOSE)/.test(errorCode)) throw error;
    throw invalid('the signature does not verify', error);
  }
}

async function verifyWithOne(
  unverified: string,
  keys: Awaited<ReturnType<FindSigningKeys>>,
): Promise<void> {
  let failure: unknown;
  for (const { key, alg } of keys) {
    try {
      await compactVerify(unverified, key, { algorithms: [alg] });
      return;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Reports whether claims are nested too deep to be stored. */
export function areNested(claims: unknown, levels = MAX_CLAIM_LEVELS): boolean {
  if (typeof claims !== 'object' || claims === null) return false;
  return levels === 0 || Object.values(claims).some((claim) => areNested(claim, levels - 1));
}

/** Reports whether a claim is a time: seconds since 1970, up to the largest safe integer. */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** Reports whether `events` is that of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4). */
export function namesLogout(events: unknown): boolean {
  return isObject(events) && isObject(events[LOGOUT_EVENT]);
}

/** Reports whether a value is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
