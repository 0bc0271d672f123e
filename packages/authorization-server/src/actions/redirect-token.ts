import { createHmac, timingSafeEqual } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader } from 'jose';

const MINUTES_15 = 900;

/**
 * Creates the token that an Action sends along with a redirect: a JWT signed with HS256. `jose` only
 * returns promises, and `api.redirect.encodeToken` returns the token itself.
 *
 * @param options as the Action gave them: `secret`, `payload`, `expiresInSeconds` (default 900).
 * @param claims this server's, which the payload may override.
 * @param now epoch seconds.
 * @throws Error naming the option that is wrong.
 */
export function encodeRedirectToken(
  options: unknown,
  claims: Readonly<Record<string, unknown>>,
  now: number,
): string {
  const given = (options ?? {}) as Record<string, unknown>;
  const { payload = {}, expiresInSeconds = MINUTES_15 } = given;
  const secret = secretOf(given, 'encodeToken');
  if (typeof expiresInSeconds !== 'number' || !(expiresInSeconds > 0)) {
    throw new Error('api.redirect.encodeToken: expiresInSeconds must be a number above 0');
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new Error('api.redirect.encodeToken: payload must be an object');
  }
  const content = { ...claims, ...payload, iat: now, exp: now + Math.floor(expiresInSeconds) };
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(content)}`;
  return `${signed}.${mac(signed, secret)}`;
}

/** Expectations of a token that comes back. */
export interface RedirectTokenExpectations {
  /** State of the redirect, the only one that the token is good for. */
  readonly state: string;
  /** Epoch seconds. */
  readonly now: number;
}

/**
 * Verifies the token that came to `/continue`: signed with the secret, not expired, and with the
 * `state` of this redirect. Returns its payload.
 *
 * @param options as the Action gave them: `secret`, `tokenParameterName` (default `session_token`).
 * @param fields of the request to `/continue`.
 * @throws Error that says what is wrong with the token and contains no part of it.
 */
export function validateRedirectToken(
  options: unknown,
  fields: Readonly<Record<string, unknown>>,
  { state, now }: RedirectTokenExpectations,
): Record<string, unknown> {
  const given = (options ?? {}) as Record<string, unknown>;
  const secret = secretOf(given, 'validateToken');
  const name = String(given.tokenParameterName ?? 'session_token');
  const token = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (typeof token !== 'string' || token === '') throw invalid(`there is no parameter "${name}"`);
  const payload = verified(token, secret);
  const { exp, nbf } = payload;
  if (typeof exp !== 'number' || exp <= now) throw invalid('it is over, or has no "exp"');
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now))
    throw invalid('"nbf" is to come');
  if (payload.state !== state) {
    throw invalid('State in the token does not match the /continue state.');
  }
  return payload;
}

function verified(token: string, secret: string): Record<string, unknown> {
  try {
    const [header = '', content = '', signature = '', ...more] = token.split('.');
    const expected = Buffer.from(mac(`${header}.${content}`, secret));
    const actual = Buffer.from(signature);
    const { alg, crit } = decodeProtectedHeader(token);
    if (
      more.length === 0 &&
      alg === 'HS256' &&
      crit === undefined &&
      actual.length === expected.length &&
      timingSafeEqual(actual, expected)
    ) {
      return decodeJwt(token);
    }
  } catch {
    // No JWT at all.
  }
  throw invalid('it is not signed with the secret (HS256)');
}

function secretOf({ secret }: Record<string, unknown>, method: string): string {
  if (typeof secret === 'string' && secret !== '') return secret;
  throw new Error(`api.redirect.${method}: give a secret, for example from event.secrets`);
}

function mac(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function invalid(what: string): Error {
  return new Error(`The session token is invalid: ${what}`);
}
