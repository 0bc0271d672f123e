import { AuthorizationRefused, OidcError } from '../errors.ts';

interface AuthorizationResponseExpectations {
  /** The issuer that the request went to. */
  readonly issuer: string;
  /** Whether its metadata promises the `iss` parameter (RFC 9207 §3). */
  readonly issPromised: boolean;
}

/**
 * Reads the parameters of a callback. Nothing of them is believed yet.
 *
 * @throws OidcError `ERR_AUTHORIZATION_RESPONSE` when one comes twice (RFC 6749 §3.1)
 */
export function readAuthorizationResponse(querystring: string): URLSearchParams {
  const params = new URLSearchParams(querystring);
  const names = [...params.keys()];
  if (new Set(names).size !== names.length) {
    throw new OidcError('ERR_AUTHORIZATION_RESPONSE', { detail: 'a parameter comes twice' });
  }
  return params;
}

/**
 * Judges a callback whose transaction was found, so whose `state` is right: first who sent it
 * (RFC 9207 §2.4), then whether it is an error, then the code (RFC 6749 §4.1.2).
 *
 * @returns the authorization code
 * @throws AuthorizationRefused, or OidcError `ERR_ISSUER_MISMATCH` or `ERR_AUTHORIZATION_RESPONSE`
 */
export function judgeAuthorizationResponse(
  params: URLSearchParams,
  { issuer, issPromised }: AuthorizationResponseExpectations,
): string {
  const iss = params.get('iss');
  if (iss === null && issPromised) {
    throw new OidcError('ERR_ISSUER_MISMATCH', { detail: '"iss" is missing, though promised' });
  }
  if (iss !== null && iss !== issuer) {
    throw new OidcError('ERR_ISSUER_MISMATCH', { detail: '"iss" is not the issuer asked' });
  }
  const error = params.get('error');
  if (error !== null) {
    throw new AuthorizationRefused(error, params.get('error_description') ?? undefined);
  }
  const code = params.get('code');
  if (!code) {
    throw new OidcError('ERR_AUTHORIZATION_RESPONSE', { detail: '"code" is missing' });
  }
  return code;
}
