import type { IncomingHttpHeaders } from 'node:http';
import { refuseUpgrade } from '@koa-oauth/issuer';
import got from 'got';
import { foreignText, OidcError, type OidcErrorCode } from '../errors.ts';
import { authenticateClient, type ClientCredentials } from './client-authentication.ts';

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

/** An endpoint of the authorization server that clients call themselves. */
export interface Endpoint {
  readonly url: string;
  /** The issuer identifier of the authorization server. */
  readonly issuer: string;
}

/** An answer of an endpoint, not judged yet. */
export interface EndpointAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export interface EndpointRequestOptions {
  /** Milliseconds for the whole exchange. */
  timeout: number;
  /** The clock: milliseconds since 1970. */
  now: () => number;
  /** What it means that there is no answer. Default: `ERR_TOKEN_ENDPOINT_UNAVAILABLE` */
  unavailable?: OidcErrorCode;
  /** Told of the form that is sent, secrets and all. */
  onSend?: (form: Readonly<Record<string, string>>) => void;
}

const MAX_BYTES = 256 * 1024;

/** How endpoints are called: no redirect, no second try, certificates checked in any case. */
export const endpointClient = got.extend({
  responseType: 'text',
  followRedirect: false,
  throwHttpErrors: false,
  retry: { limit: 0 },
  decompress: false,
  enableUnixSockets: false,
  https: { rejectUnauthorized: true, minVersion: 'TLSv1.2' },
});

/**
 * One POST in the client's name, never repeated: a code, a rotated refresh token or an assertion
 * works once.
 *
 * @throws OidcError when there is no answer. It holds nothing of the request: got's own error would
 *   carry the secret and the code.
 */
export async function postToEndpoint(
  { url, issuer }: Endpoint,
  client: ClientCredentials,
  parameters: Readonly<Record<string, string>>,
  options: EndpointRequestOptions,
): Promise<EndpointAnswer> {
  const { timeout, now, unavailable = 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', onSend } = options;
  const seconds = Math.floor(now() / 1000);
  const credentials = await authenticateClient(client, { issuer, now: seconds });
  const form = { ...parameters, ...credentials.form };
  onSend?.(form);
  const request = endpointClient.post(url, {
    headers: { accept: 'application/json', ...credentials.headers },
    form,
    timeout: { request: timeout },
  });
  request.on('request', refuseUpgrade);
  request.on('downloadProgress', ({ transferred }) => {
    if (transferred > MAX_BYTES) request.cancel();
  });
  try {
    const { statusCode, headers, body } = await request;
    return { status: statusCode, headers, body: parseJson(body) };
  } catch (error) {
    const { code, name } = error as { code?: unknown; name?: unknown };
    const detail = `POST ${url}: ${foreignText(String(code ?? name), 60)}`;
    throw new OidcError(unavailable, { detail });
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
