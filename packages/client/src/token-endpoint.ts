import got from 'got';
import { foreignText, OidcError } from './errors.ts';

/** How the client proves itself (RFC 6749 §2.3.1): one way per request. */
export interface ClientCredentials {
  readonly clientID: string;
  readonly clientSecret: string;
  readonly clientAuthMethod: 'client_secret_basic' | 'client_secret_post';
}

/** An answer of the token or revocation endpoint, not judged yet. */
export interface EndpointAnswer {
  readonly status: number;
  readonly body: unknown;
}

interface EndpointLimits {
  /** Milliseconds for the whole exchange. */
  timeout: number;
}

const MAX_BYTES = 256 * 1024;

/** Exchanges a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). */
export function requestTokensByCode(
  url: string,
  client: ClientCredentials,
  grant: { code: string; redirectURI: string; codeVerifier: string },
  limits: EndpointLimits,
): Promise<EndpointAnswer> {
  const parameters = {
    grant_type: 'authorization_code',
    code: grant.code,
    redirect_uri: grant.redirectURI,
    code_verifier: grant.codeVerifier,
  };
  return send(url, client, parameters, limits);
}

/** Exchanges a refresh token for tokens (RFC 6749 §6). */
export function requestTokensByRefresh(
  url: string,
  client: ClientCredentials,
  refreshToken: string,
  limits: EndpointLimits,
): Promise<EndpointAnswer> {
  const parameters = { grant_type: 'refresh_token', refresh_token: refreshToken };
  return send(url, client, parameters, limits);
}

/** Revokes a refresh token, and with it what was issued for it (RFC 7009 §2.1). */
export function requestRevocation(
  url: string,
  client: ClientCredentials,
  refreshToken: string,
  limits: EndpointLimits,
): Promise<EndpointAnswer> {
  const parameters = { token: refreshToken, token_type_hint: 'refresh_token' };
  return send(url, client, parameters, limits);
}

/**
 * One POST, never repeated: a code or a rotated refresh token works once.
 *
 * @throws OidcError `ERR_TOKEN_ENDPOINT_UNAVAILABLE` when there is no answer. It holds nothing of
 *   the request: got's own error would carry the secret and the code.
 */
async function send(
  url: string,
  client: ClientCredentials,
  parameters: Record<string, string>,
  { timeout }: EndpointLimits,
): Promise<EndpointAnswer> {
  const { headers, form } = authenticate(client);
  const request = got.post(url, {
    headers: { accept: 'application/json', ...headers },
    form: { ...parameters, ...form },
    responseType: 'text',
    followRedirect: false,
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: { request: timeout },
    decompress: false,
    enableUnixSockets: false,
  });
  request.on('downloadProgress', ({ transferred }) => {
    if (transferred > MAX_BYTES) request.cancel();
  });
  try {
    const { statusCode, body } = await request;
    return { status: statusCode, body: parseJson(body) };
  } catch (error) {
    const { code, name } = error as { code?: unknown; name?: unknown };
    const detail = `POST ${url}: ${foreignText(String(code ?? name), 60)}`;
    throw new OidcError('ERR_TOKEN_ENDPOINT_UNAVAILABLE', { detail });
  }
}

function authenticate({ clientID, clientSecret, clientAuthMethod }: ClientCredentials): {
  headers: Record<string, string>;
  form: Record<string, string>;
} {
  if (clientAuthMethod === 'client_secret_post') {
    return { headers: {}, form: { client_id: clientID, client_secret: clientSecret } };
  }
  // §2.3.1: both are form-encoded before they are joined, so a ":" in either stays unambiguous.
  const credentials = `${formEncode(clientID)}:${formEncode(clientSecret)}`;
  const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
  return { headers: { authorization }, form: {} };
}

function formEncode(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1);
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
