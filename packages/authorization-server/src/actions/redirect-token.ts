import { createHmac, timingSafeEqual } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader } from 'jose';

const DEFAULT_LIFETIME_SECONDS = 900;

/**
 * Signs the token that goes along with a redirect (HS256). `jose` returns promises only.
 *
 * @param options `secret`, `payload`, which may override `claims`, `expiresInSeconds`.
 */
export function encodeRedirectToken(
  options: unknown,
  claims: Readonly<Record<string, unknown>>,
  now: number,
): string {
  const given = (options ?? {}) as Record<string, unknown>;
  const { payload = {}, expiresInSeconds = DEFAULT_LIFETIME_SECONDS } = given;
  const secret = secretOf(given, 'encodeToken');
  if (typeof expiresInSeconds !== 'number' || !(expiresInSeconds > 0)) {
    throw new Error('api.redirect.encodeToken: expiresInSeconds must be a number above 0');
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new Error('api.redirect.encodeToken: payload must be an object');
  }
  const content = { ...claims, ...payload, iat: now, exp: now + Math.floor(expiresInSeconds) };
  const signed = `${encodeJson({ alg: 'HS256', typ: 'JWT' })}.${encodeJson(content)}`;
  return `${signed}.${hmac(signed, secret)}`;
}

/**
 * Verifies the token in the fields of `/continue`; it must have the `state` of this redirect.
 *
 * @param options `secret`, `tokenParameterName`.
 */
export function validateRedirectToken(
  options: unknown,
  fields: Readonly<Record<string, unknown>>,
  { state, now }: { readonly state: string; readonly now: number },
): Record<string, unknown> {
  const given = (options ?? {}) as Record<string, unknown>;
  const secret = secretOf(given, 'validateToken');
  const name = String(given.tokenParameterName ?? 'session_token');
  const token = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (typeof token !== 'string' || token === '')
    throw invalidToken(`there is no parameter "${name}"`);
  const payload = verifySignature(token, secret);
  const { exp, nbf } = payload;
  if (typeof exp !== 'number' || exp <= now) throw invalidToken('it has expired, or has no "exp"');
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now))
    throw invalidToken('"nbf" is in the future');
  if (payload.state !== state) {
    throw invalidToken('State in the token does not match the /continue state.');
  }
  return payload;
}

function verifySignature(token: string, secret: string): Record<string, unknown> {
  try {
    const [header = '', content = '', signature = '', ...more] = token.split('.');
    const expected = Buffer.from(hmac(`${header}.${content}`, secret));
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
    // It is no JWT.
  }
  throw invalidToken('it is not signed with the secret (HS256)');
}

function secretOf({ secret }: Record<string, unknown>, method: string): string {
  if (typeof secret === 'string' && secret !== '') return secret;
  throw new Error(`api.redirect.${method}: give a secret, for example from event.secrets`);
}

function hmac(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function invalidToken(what: string): Error {
  return new Error(`The session token is invalid: ${what}`);
}
