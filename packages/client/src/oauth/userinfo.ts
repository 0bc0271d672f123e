import {
  type AuthorizationServerMetadata,
  type HttpAnswer,
  type HttpClient,
  hasDuplicateNames,
} from '@koa-oauth/issuer';
import { failureCode, OidcError } from '../errors.ts';
import { sendWithToken, type TokenToSend } from './dpop.ts';
import type { IdTokenClaims } from './id-token.ts';
import { areNested, isObject } from './signed-jwt.ts';

/** The claims are stored with the session, like those of an ID token. */
const MAX_USERINFO_LENGTH = 32 * 1024;

/** Requests claims about the user (OpenID Connect Core §5.3.1). @returns undefined without an endpoint */
export async function requestUserinfo(
  { userinfo_endpoint: url }: AuthorizationServerMetadata,
  token: TokenToSend,
  http: HttpClient,
): Promise<HttpAnswer | undefined> {
  if (!url) return undefined;
  try {
    return await sendWithToken(http, url, { headers: { accept: 'application/json' } }, token);
  } catch (error) {
    throw unusable(`GET ${url}: ${failureCode(error)}`);
  }
}

/**
 * Judges the answer: its `sub` must be that of the ID token (OpenID Connect Core §5.3.2, §5.3.4).
 * @throws OidcError `ERR_USERINFO`
 */
export function judgeUserinfo(
  { status, body }: Pick<HttpAnswer, 'status' | 'body'>,
  { sub }: IdTokenClaims,
): Readonly<Record<string, unknown>> {
  if (status !== 200) throw unusable(`it answered ${status}`);
  if (body.length > MAX_USERINFO_LENGTH) throw unusable('it is too long');
  const claims = parseObject(body);
  if (!claims) throw unusable('it is not a JSON object');
  // Parsers disagree about which value of a member counts (RFC 8259 §4).
  if (hasDuplicateNames(body)) throw unusable('a member name is there twice');
  if (areNested(claims)) throw unusable('it is nested too deep');
  if (claims.sub !== sub) throw unusable('"sub" is not that of the ID token');
  return claims;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function unusable(detail: string): OidcError {
  return new OidcError('ERR_USERINFO', { detail: `userinfo: ${detail}` });
}
