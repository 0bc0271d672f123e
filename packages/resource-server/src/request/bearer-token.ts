import { AuthError } from '../errors.ts';
import type { Scheme } from './challenge.ts';

/**
 * Parts of a request that can carry a token (RFC 6750 §2). Adapters of serverless platforms, and requests
 * that a unit test makes, have only some of them.
 */
export interface TokenRequest {
  /** For a DPoP proof, which names the method. */
  readonly method?: string | undefined;
  /** Names and values in turn, as Node's `IncomingMessage` has them. */
  readonly rawHeaders?: readonly string[] | undefined;
  /** Values by name in lower case, where Koa looks. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** The request target, query included. */
  readonly url?: string | undefined;
}

/** An access token as it was sent. */
export interface Credentials {
  readonly scheme: Scheme;
  /** The text behind the scheme. `checkBearerToken` checks its form. */
  readonly token: string;
}

/**
 * Returns the credentials of the `Authorization` header, the only place where they are accepted, or
 * undefined when it has none of a known scheme.
 *
 * @param form the parsed body, if it is a form (RFC 6750 §2.2)
 * @throws AuthError `ERR_INVALID_REQUEST` for two headers, or a token in the query or the form
 */
export function readCredentials(request: TokenRequest, form?: unknown): Credentials | undefined {
  const isInForm = typeof form === 'object' && form !== null && Object.hasOwn(form, 'access_token');
  if (isInForm || queryHasToken(request.url ?? '')) {
    throw invalidRequest('send the access token in the Authorization header and nowhere else');
  }
  const [value = '', ...others] = headerValues(request, 'authorization');
  if (others.length > 0) throw invalidRequest('send one Authorization header');
  // Another scheme counts as no credentials: RFC 6750 §3.1 gives it no error code.
  const [start, name] = /^(bearer|dpop)(?: +|$|(?=\s))/i.exec(value) ?? [];
  if (start === undefined || name === undefined) return undefined;
  const scheme = name.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer';
  return { scheme, token: value.slice(start.length) };
}

/** Checks that credentials are one b64token (RFC 6750 §2.1). @throws AuthError `ERR_INVALID_REQUEST` */
export function checkBearerToken(credentials: string, scheme: Scheme = 'Bearer'): void {
  if (/^[A-Za-z0-9\-._~+/]+=*$/.test(credentials)) return;
  throw invalidRequest(`the Authorization header must read "${scheme}" and the access token`);
}

function invalidRequest(message: string): AuthError {
  return new AuthError('ERR_INVALID_REQUEST', { message });
}

function queryHasToken(url: string): boolean {
  const start = url.indexOf('?');
  return start !== -1 && new URLSearchParams(url.slice(start)).has('access_token');
}

/**
 * Returns the values of all lines of a header. `headers` of Node contains only the first of several
 * Authorization lines, and builds itself when first read. Where there are no lines, `headers` counts.
 *
 * @param header its name in lower case
 */
export function headerValues({ rawHeaders, headers }: TokenRequest, header: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < (rawHeaders?.length ?? 0); i += 2) {
    const name = rawHeaders?.[i] ?? '';
    if (name.length === header.length && name.toLowerCase() === header) {
      values.push(rawHeaders?.[i + 1] ?? '');
    }
  }
  if (values.length > 0) return values;
  return [headers?.[header]].flat().filter((value) => typeof value === 'string');
}
