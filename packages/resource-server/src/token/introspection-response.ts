import {
  type AuthorizationServerMetadata,
  checkSignedJwt,
  type HttpAnswer,
  hasDuplicateNames,
  type SignedJwt,
  type SignedJwtExpectations,
  StacklessError,
} from '@koa-oauth/issuer';
import { InvalidTokenError } from '../errors.ts';
import {
  type AccessTokenClaims,
  type AccessTokenRules,
  checkClaims,
  refuseOtherTokens,
} from './jwt-access-token.ts';

/** Members of the answer for an active token, not checked yet. */
export type Introspected = Readonly<Record<string, unknown>>;

/** Error for an answer that says nothing about the token. Its message contains no part of it. */
export class UnusableResponse extends StacklessError {
  override readonly name = 'UnusableResponse';
}

const SIGNED = 'token-introspection+jwt';
const MAX_BODY_LENGTH = 64 * 1024;
const MAX_SIGNED_AGE_SECONDS = 60;

/** Returns the `Accept` of a request: a signed answer only where the issuer has them (RFC 9701 §4, §7). */
export function acceptFor(metadata: AuthorizationServerMetadata): string {
  const { introspection_signing_alg_values_supported: algorithms } = metadata;
  const isSigned = Array.isArray(algorithms) && algorithms.length > 0;
  return isSigned ? `application/${SIGNED}, application/json;q=0.9` : 'application/json';
}

/**
 * Reads the form of an answer (RFC 7662 §2.2, §2.3).
 *
 * @returns its members, or the JWT that has them
 * @throws UnusableResponse
 */
export function readResponse({
  status,
  headers,
  body,
}: HttpAnswer): { readonly members: unknown } | { readonly jwt: string } {
  if (body.length > MAX_BODY_LENGTH) throw new UnusableResponse('the answer is too large');
  if (status === 400 && errorOf(body) === 'unsupported_token_type') {
    return { members: { active: false } };
  }
  if (status === 401 || status === 403) {
    const hint = 'the issuer does not accept this clientID with this secret or key';
    throw new UnusableResponse(`it answered ${status}: ${hint}`);
  }
  if (status !== 200 && status !== 201) throw new UnusableResponse(`it answered ${status}`);
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  if (type.trim().toLowerCase() === `application/${SIGNED}`) return { jwt: body.trim() };
  return { members: parse(body) };
}

function parse(body: string): unknown {
  let members: unknown;
  try {
    members = JSON.parse(body);
  } catch {
    throw new UnusableResponse('the answer is not JSON');
  }
  if (hasDuplicateNames(body)) throw new UnusableResponse('the answer has a name twice');
  return members;
}

function errorOf(body: string): unknown {
  try {
    return (JSON.parse(body) as { error?: unknown } | null)?.error;
  } catch {
    return undefined;
  }
}

/**
 * Checks all of a signed answer except its signature (RFC 9701 §5).
 *
 * @throws UnusableResponse
 */
export function checkSignedResponse(
  jwt: string,
  expected: SignedJwtExpectations,
): { readonly header: SignedJwt['header']; readonly members: unknown } {
  const kind = {
    isType: (typ: string | undefined) => typ === SIGNED,
    maxAge: MAX_SIGNED_AGE_SECONDS,
  };
  try {
    const { header, claims } = checkSignedJwt(jwt, kind, expected);
    return { header, members: claims.token_introspection };
  } catch (error) {
    throw new UnusableResponse(`the signed answer: ${(error as Error).message}`);
  }
}

/** Returns the members of an active token; undefined for any other. @throws UnusableResponse */
export function judgeResponse(members: unknown): Introspected | undefined {
  if (typeof members !== 'object' || members === null || Array.isArray(members)) {
    throw new UnusableResponse('the answer is not a JSON object');
  }
  const { active, ...claims } = members as { active?: unknown };
  if (typeof active !== 'boolean') throw new UnusableResponse('"active" is not true or false');
  return active ? Object.fromEntries(Object.entries(claims).filter(isPresent)) : undefined;
}

// Some servers write absent members as null, and an absent `aud` as an empty list.
function isPresent([name, value]: [string, unknown]): boolean {
  return value !== null && !(name === 'aud' && Array.isArray(value) && value.length === 0);
}

/** Rules for the answer of one issuer. */
export interface IntrospectionRules extends AccessTokenRules {
  /** The metadata's `issuer`. */
  readonly issuer: string;
  readonly unsafeMissingAudience: boolean;
}

/**
 * Checks the claims of an active token by the rules of a JWT. `iss` may be absent, as the issuer itself
 * has answered. `aud` may be absent only where the options say so.
 *
 * @param now seconds since the epoch
 * @throws InvalidTokenError with the reason
 */
export function checkIntrospected(
  claims: Introspected,
  rules: IntrospectionRules,
  now: number,
): AccessTokenClaims {
  // RFC 7662 §2.2. Another kind of token can be active too.
  const { token_type: type = 'Bearer' } = claims;
  if (typeof type !== 'string' || !/^(?:bearer|dpop)$/i.test(type)) {
    throw new InvalidTokenError('type', '"token_type" is not that of an access token');
  }
  refuseOtherTokens(claims);
  const withoutAudience = claims.aud === undefined && rules.unsafeMissingAudience;
  // A refresh token can be active too, and often has neither.
  if (withoutAudience && claims.token_type === undefined) {
    throw new InvalidTokenError('type', '"aud" and "token_type" are missing');
  }
  if (type.toLowerCase() === 'dpop' && claims.cnf === undefined) {
    throw new InvalidTokenError('claim', '"token_type" is DPoP, and "cnf" is missing');
  }
  const named = {
    iss: rules.issuer,
    ...(withoutAudience && { aud: rules.audience[0] }),
    ...claims,
  };
  // RFC 9068 requires claims of JWTs.
  return checkClaims(named, { ...rules, profile: 'any' }, now);
}
