import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import { OidcError } from '../errors.ts';
import {
  type EndpointAnswer,
  type EndpointRequest,
  isTransient,
  postToEndpoint,
  readEndpointError,
  retryAfter,
} from './token-endpoint.ts';

/**
 * Pushes an authorization request to the server (RFC 9126 §2.1), so that nothing of it goes through
 * the browser.
 *
 * @throws OidcError when the server has no such endpoint or does not answer
 */
export async function requestPushedAuthorization(
  { issuer, pushed_authorization_request_endpoint: url }: AuthorizationServerMetadata,
  request: Omit<EndpointRequest, 'url' | 'issuer'>,
): Promise<EndpointAnswer> {
  if (!url) {
    const detail = 'it has no pushed authorization request endpoint';
    throw new OidcError('ERR_ISSUER_UNSUITABLE', { detail });
  }
  return postToEndpoint({ ...request, url, issuer, unavailable: 'ERR_AUTHORIZATION_UNAVAILABLE' });
}

// Characters of a URI (RFC 3986 §2): none could end a line or a parameter.
const REQUEST_URI = /^[\w:/?#[\]@!$&'()*+,;=.~%-]{1,2000}$/;

/**
 * Judges the answer to a pushed authorization request (RFC 9126 §2.2, §2.3).
 *
 * @param now seconds since 1970
 * @returns the `request_uri` that stands for the request
 */
export function judgePushedAuthorization(answer: EndpointAnswer, now: number): string {
  const { status, headers, body } = answer;
  if (isTransient(answer)) {
    throw new OidcError('ERR_AUTHORIZATION_UNAVAILABLE', {
      detail: `pushed authorization request: it answered ${status}`,
      retryAfter: retryAfter(headers, now),
    });
  }
  // §2.2 has 201.
  if (status !== 201 && status !== 200) {
    const { error, detail } = readEndpointError(answer) ?? {};
    throw refused(detail ?? `it answered ${status}`, error);
  }
  // `expires_in` is not used: the browser takes the `request_uri` to the server at once.
  const { request_uri } = (body ?? {}) as Record<string, unknown>;
  if (typeof request_uri !== 'string' || !REQUEST_URI.test(request_uri)) {
    throw refused('"request_uri" is not a URI');
  }
  return request_uri;
}

function refused(reason: string, error = reason): OidcError {
  const detailOf = (text: string) => `pushed authorization request: ${text}`;
  return new OidcError('ERR_PUSHED_REQUEST', {
    detail: detailOf(reason),
    summary: detailOf(error),
  });
}
