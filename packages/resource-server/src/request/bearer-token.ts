import { AuthError } from '../errors.ts';

/**
 * Parts of a request that can carry a token (RFC 6750 §2). Adapters of serverless platforms, and requests
 * that a unit test makes, have only some of them.
 */
export interface TokenRequest {
  /** Names and values in turn, as Node's `IncomingMessage` has them. */
  readonly rawHeaders?: readonly string[] | undefined;
  /** Values by name in lower case, where Koa looks. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** The request target, query included. */
  readonly url?: string | undefined;
}

/**
 * Returns the credentials of the `Authorization` header, the only place where they are accepted, or
 * undefined without bearer credentials. `checkBearerToken` checks their form.
 *
 * @param form the parsed body, if it is a form (RFC 6750 §2.2)
 * @throws AuthError `ERR_INVALID_REQUEST` for two headers, or a token in the query or the form
 */
export function bearerCredentials(request: TokenRequest, form?: unknown): string | undefined {
  const isInForm = typeof form === 'object' && form !== null && Object.hasOwn(form, 'access_token');
  if (isInForm || queryHasToken(request.url ?? '')) {
    throw invalidRequest('send the access token in the Authorization header and nowhere else');
  }
  const values = authorizationHeaders(request);
  if (values.length > 1) throw invalidRequest('send one Authorization header');
  const value = values[0];
  // Another scheme counts as no credentials: RFC 6750 §3.1 gives it no error code.
  const scheme = value === undefined ? undefined : /^bearer(?: +|$|(?=\s))/i.exec(value)?.[0];
  return scheme === undefined ? undefined : value?.slice(scheme.length);
}

/** Checks that credentials are one b64token (RFC 6750 §2.1). @throws AuthError `ERR_INVALID_REQUEST` */
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

// `headers` of Node contains only the first of several Authorization lines, and builds itself when first
// read. Where there are no lines, `headers` counts.
function authorizationHeaders(request: TokenRequest): string[] {
  const { rawHeaders } = request;
  const values: string[] = [];
  for (let i = 0; i < (rawHeaders?.length ?? 0); i += 2) {
    const name = rawHeaders?.[i] ?? '';
    if (name.length === 13 && name.toLowerCase() === 'authorization') {
      values.push(rawHeaders?.[i + 1] ?? '');
    }
  }
  if (values.length > 0) return values;
  return [request.headers?.authorization].flat().filter((value) => typeof value === 'string');
}
