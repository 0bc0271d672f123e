import { IssuerError, issuerUnavailable } from './errors.ts';
import type { FetchedJson } from './http-client.ts';
import { isLoopback, isSameIssuer, isSecureURL, withoutSlash } from './issuer-identifier.ts';
import type { Fetched } from './kept-fresh.ts';

/**
 * Metadata of an authorization server (RFC 8414 §2, OpenID Connect Discovery §3). Only the members that
 * are named here were checked.
 */
export interface AuthorizationServerMetadata {
  readonly issuer: string;
  readonly jwks_uri: string;
  readonly authorization_endpoint?: string;
  readonly token_endpoint?: string;
  readonly userinfo_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly end_session_endpoint?: string;
  readonly pushed_authorization_request_endpoint?: string;
  readonly code_challenge_methods_supported?: readonly string[];
  readonly id_token_signing_alg_values_supported?: readonly string[];
  readonly authorization_response_iss_parameter_supported?: boolean;
  readonly [name: string]: unknown;
}

const ENDPOINT_MEMBERS = [
  'authorization_endpoint',
  'token_endpoint',
  'userinfo_endpoint',
  'revocation_endpoint',
  'end_session_endpoint',
  'pushed_authorization_request_endpoint',
] as const;
const LIST_MEMBERS = [
  'code_challenge_methods_supported',
  'id_token_signing_alg_values_supported',
] as const;

/** Returns the URLs of an issuer's metadata, in the order to ask: OpenID Connect Discovery §4, RFC 8414 §3.1. */
export function metadataURLs(issuer: URL): [string, string] {
  const path = withoutSlash(issuer.pathname);
  return [
    `${issuer.origin}${path}/.well-known/openid-configuration`,
    `${issuer.origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

/**
 * Fetches and checks an issuer's metadata.
 *
 * @throws IssuerError `ERR_ISSUER_UNAVAILABLE` when neither URL answers with a document,
 *   `ERR_INVALID_METADATA` when the document names another issuer or an unsafe endpoint
 */
export async function fetchMetadata(
  issuerBaseURL: string,
  fetch: (url: string) => Promise<FetchedJson>,
): Promise<Fetched<AuthorizationServerMetadata>> {
  const statuses: string[] = [];
  for (const url of metadataURLs(new URL(issuerBaseURL))) {
    const { status, body, maxAge } = await fetch(url);
    if (status === 200) return { value: checkMetadata(issuerBaseURL, body), maxAge };
    statuses.push(`GET ${url}: ${status}`);
    if (status >= 500) break;
  }
  throw issuerUnavailable(statuses.join('; '));
}

/** Checks a metadata document (RFC 8414 §3.3). @throws IssuerError `ERR_INVALID_METADATA` */
export function checkMetadata(
  issuerBaseURL: string,
  document: unknown,
): AuthorizationServerMetadata {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw invalidMetadata('the metadata is not a JSON object');
  }
  const metadata = document as Record<string, unknown>;
  if (typeof metadata.issuer !== 'string' || !isSameIssuer(issuerBaseURL, metadata.issuer)) {
    throw invalidMetadata(
      `the metadata's "issuer" is ${JSON.stringify(metadata.issuer)?.slice(0, 200)}, expected "${issuerBaseURL}"`,
    );
  }
  if (metadata.jwks_uri === undefined) throw invalidMetadata('the metadata has no "jwks_uri"');
  const isLocal = isLoopback(new URL(issuerBaseURL));
  for (const name of ['jwks_uri', ...ENDPOINT_MEMBERS]) {
    checkEndpoint(name, metadata[name], isLocal);
  }
  for (const name of LIST_MEMBERS) checkList(name, metadata[name]);
  const sendsIss = metadata.authorization_response_iss_parameter_supported;
  if (sendsIss !== undefined && typeof sendsIss !== 'boolean') {
    throw invalidMetadata('"authorization_response_iss_parameter_supported" is not a boolean');
  }
  return metadata as unknown as AuthorizationServerMetadata;
}

function invalidMetadata(detail: string): IssuerError {
  return new IssuerError('ERR_INVALID_METADATA', { detail });
}

// The endpoints of an issuer on https must be on https: codes and tokens are sent there.
function checkEndpoint(name: string, value: unknown, isLocal: boolean): void {
  if (value === undefined) return;
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  if (
    !url ||
    !isSecureURL(url) ||
    (url.protocol === 'http:' && !isLocal) ||
    url.username ||
    url.password
  ) {
    throw invalidMetadata(`the metadata's "${name}" is not a URL that can be trusted`);
  }
}

function checkList(name: string, value: unknown): void {
  if (value === undefined) return;
  if (!Array.isArray(value) || value.some((entry) => typeof entry !== 'string')) {
    throw invalidMetadata(`the metadata's "${name}" is not a list of strings`);
  }
}
