import {
  type AuthorizationServerMetadata,
  type ClientCredentials,
  FAPI_ALGORITHMS,
} from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';

/*
 * FAPI 2.0 Security Profile (OpenID Foundation, final), clauses for clients: the option `profile` with the
 * value `fapi2`. docs/security.md lists each clause with its test.
 */

/** Options whose value the profile decides. */
interface DecidedOptions {
  readonly pushedAuthorizationRequests?: boolean | undefined;
  readonly dpop?: boolean | undefined;
  readonly clockTolerance?: number | undefined;
  readonly unsafeAllowHTTP?: boolean | undefined;
}

/** Returns a sentence for each option that contradicts the profile. */
export function fapiFaults(options: DecidedOptions): string[] {
  const { clockTolerance = 0 } = options;
  const contradictions: [isWrong: boolean, text: string][] = [
    [options.pushedAuthorizationRequests === false, 'pushedAuthorizationRequests must be true'],
    [options.dpop === false, 'dpop must be true'],
    [clockTolerance > 60, 'clockTolerance must be 60 at most'],
    [options.unsafeAllowHTTP === true, 'unsafeAllowHTTP must be false'],
  ];
  return contradictions.flatMap(([isWrong, text]) =>
    isWrong ? [`${text} with the profile fapi2`] : [],
  );
}

/**
 * Checks that the issuer can serve the profile (§5.3.2): a sign-in without one of these would be weaker than
 * wanted. A list that is missing counts as empty (RFC 8414 §2).
 *
 * @throws OidcError `ERR_ISSUER_UNSUITABLE` whose detail names all that its metadata lacks
 */
export function requireFapiSupport(
  metadata: AuthorizationServerMetadata,
  credentials: ClientCredentials,
): void {
  const assertionAlgs = 'signingKey' in credentials ? [credentials.signingKey.alg] : [];
  const lists: [name: string, accepted: readonly string[]][] = [
    ['code_challenge_methods_supported', ['S256']],
    ['token_endpoint_auth_methods_supported', ['private_key_jwt']],
    ['token_endpoint_auth_signing_alg_values_supported', assertionAlgs],
    ['dpop_signing_alg_values_supported', ['ES256']],
    ['id_token_signing_alg_values_supported', FAPI_ALGORITHMS],
  ];
  const lacking = lists.flatMap(([name, accepted]) => {
    const values = metadata[name];
    const fits = Array.isArray(values) && accepted.some((value) => values.includes(value));
    return fits ? [] : [`${accepted.join(' or ')} in "${name}"`];
  });
  if (metadata.pushed_authorization_request_endpoint === undefined) {
    lacking.unshift('"pushed_authorization_request_endpoint"');
  }
  if (metadata.authorization_response_iss_parameter_supported !== true) {
    lacking.push('"authorization_response_iss_parameter_supported": true');
  }
  if (lacking.length === 0) return;
  const detail = `its metadata lacks what the profile fapi2 needs: ${lacking.join('; ')}`;
  throw new OidcError('ERR_ISSUER_UNSUITABLE', { detail });
}
