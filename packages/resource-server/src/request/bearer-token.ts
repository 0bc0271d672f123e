import { AuthError } from '../errors.ts';

/** Parts of a request that can carry a token (RFC 6750 §2). */
export interface TokenRequest {
  /** Names and values in turn, as Node's `IncomingMessage` has them. */
  readonly rawHeaders: readonly string[];
  /** The request target, query included. */
  readonly url: string;
  /** The parsed body, when there is one and it came as a form (RFC 6750 §2.2). */
  readonly form?: unknown;
}

/**
 * Takes the credentials out of the `Authorization` header, the only place where they are accepted.
 * `checkBearerToken` judges their form, before any other code reads them.
 *
 * @returns undefined when the request brings no bearer credentials
 * @throws AuthError `ERR_INVALID_REQUEST` for two ways at once, or a token in the query or the form
 */
export function bearerCredentials({ rawHeaders, url, form }: TokenRequest): string | undefined {
  if (queryHasToken(url) || (form !== undefined && hasToken(form))) {
    throw invalidRequest('send the access token in the Authorization header and nowhere else');
  }
  const values = authorizationHeaders(rawHeaders);
  if (values.length > 1) throw invalidRequest('send one Authorization header');
  const value = values[0];
  // Another scheme is as good as no credentials: RFC 6750 §3.1 gives it no error code.
  const scheme = value === undefined ? undefined : /^bearer(?: +|$|(?=\s))/i.exec(value)?.[0];
  return scheme === undefined ? undefined : value?.slice(scheme.length);
}

/**
 * Judges the form of credentials, not what they say: one b64token (RFC 6750 §2.1).
 * @throws AuthError `ERR_INVALID_REQUEST` for anything else
 */
export function checkBearerToken(credentials: string): void {
  if (/^[A-Za-z0-9\-._~+/]+=*$/.test(credentials)) return;
  throw invalidRequest('the Authorization header must read "Bearer" and the access token');
}

function invalidRequest(message: string): AuthError {
  return new AuthError('ERR_INVALID_REQUEST', { message });
}

function queryHasToken(url: string): boolean {
  const start = url.indexOf('?');
  return start !== -1 && new URLSearchParams(url.slice(start)).has('access_token');
}

function hasToken(parameters: unknown): boolean {
  return (
    typeof parameters === 'object' &&
    parameters !== null &&
    Object.hasOwn(parameters, 'access_token')
  );
}

// Node keeps the first of several Authorization lines and drops the rest without a word.
function authorizationHeaders(rawHeaders: readonly string[]): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (name.length === 13 && name.toLowerCase() === 'authorization') {
      values.push(rawHeaders[i + 1] ?? '');
    }
  }
  return values;
}
