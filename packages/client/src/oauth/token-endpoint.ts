import type { ClientCredentials } from './client-authentication.ts';
import {
  type Endpoint,
  type EndpointAnswer,
  type EndpointRequestOptions,
  postToEndpoint,
} from './endpoint-request.ts';

/** Exchanges a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). */
export function requestTokensByCode(
  endpoint: Endpoint,
  client: ClientCredentials,
  grant: { code: string; redirectURI: string; codeVerifier: string },
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const parameters = {
    grant_type: 'authorization_code',
    code: grant.code,
    redirect_uri: grant.redirectURI,
    code_verifier: grant.codeVerifier,
  };
  return postToEndpoint(endpoint, client, parameters, options);
}

/**
 * Exchanges a refresh token for tokens (RFC 6749 §6).
 *
 * @param more parameters: `scope` for fewer of them, `audience` (Auth0) or `resource` (RFC 8707)
 */
export function requestTokensByRefresh(
  endpoint: Endpoint,
  client: ClientCredentials,
  { refreshToken, ...more }: { refreshToken: string; [name: string]: string },
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const parameters = { ...more, grant_type: 'refresh_token', refresh_token: refreshToken };
  return postToEndpoint(endpoint, client, parameters, options);
}

/** Revokes a refresh token, and with it what was issued for it (RFC 7009 §2.1). */
export function requestRevocation(
  endpoint: Endpoint,
  client: ClientCredentials,
  refreshToken: string,
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const parameters = { token: refreshToken, token_type_hint: 'refresh_token' };
  return postToEndpoint(endpoint, client, parameters, options);
}
