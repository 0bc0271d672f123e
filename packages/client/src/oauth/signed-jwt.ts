import type { KeyObject } from 'node:crypto';
import {
  checkSignedJwt,
  type SignedJwt,
  type SignedJwtExpectations,
  type SignedJwtKind,
} from '@koa-oauth/issuer';
import { compactVerify } from 'jose';
import { OidcError, type OidcErrorCode } from '../errors.ts';

/** Finds the keys of the issuer that have a token's name. The signature must fit one of them. */
export type FindSigningKeys = (header: {
  alg?: string;
  kid?: string;
}) => Promise<readonly { key: KeyObject; alg: string }[]>;

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
  { code, ...kind }: SignedJwtKind & { code: OidcErrorCode },
  expected: SignedJwtExpectations,
): Promise<{ alg: string; claims: SignedJwt['claims'] }> {
  const check = () => checkSignedJwt(unverified, kind, expected);
  const { header, claims } = await verifyChecked(unverified, check, signingKeys, code);
  if (areNested(claims)) throw new OidcError(code, { detail: 'its claims are nested too deep' });
  return { alg: header.alg, claims };
}

/**
 * Verifies the signature of a token whose other rules a function checks first.
 *
 * @returns what the function returns
 * @throws OidcError of the code given, its `detail` naming the rule; or what `signingKeys` rejects with
 */
export async function verifyChecked<Checked extends Pick<SignedJwt, 'header'>>(
  unverified: string,
  check: () => Checked,
  signingKeys: FindSigningKeys,
  code: OidcErrorCode,
): Promise<Checked> {
  const invalid = (detail: string, cause: unknown) => new OidcError(code, { detail, cause });
  try {
    const checked = check();
    await verifyWithOne(unverified, await signingKeys(checked.header));
    return checked;
  } catch (error) {
    const { code: errorCode, message } = error as { code?: unknown; message: string };
    if (errorCode === 'ERR_INVALID_JWT') throw invalid(message, error);
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

/** Reports whether a value is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
