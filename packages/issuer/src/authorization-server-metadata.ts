import { IssuerError } from './errors.ts';
import {
  isLoopback,
  isSameIssuer,
  isSecureURL,
  parseURL,
  withoutSlash,
} from './issuer-identifier.ts';
import type { Fetched, FetchedJson } from './kept-fresh.ts';

/**
 * Metadata of an authorization server (RFC 8414 §2, OpenID Connect Discovery §3). Only the members that
 * are named here were checked.
 */
export interface AuthorizationServerMetadata {
  readonly issuer: string;
  /** Present unless the keys are given by an option. */
  readonly jwks_uri?: string;
  readonly authorization_endpoint?: string;
  readonly token_endpoint?: string;
  readonly userinfo_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly introspection_endpoint?: string;
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
  'introspection_endpoint',
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

/** Where the metadata of an issuer is, and what it must be. */
export interface MetadataRules {
  readonly issuerBaseURL: string;
  /** The only URL to ask. Default: those of `metadataURLs`. */
  readonly metadataURL?: string | undefined;
  readonly unsafeAllowHTTP?: boolean | undefined;
}

/**
 * Fetches and checks an issuer's metadata. The second URL is asked whatever the first answers, except
 * good metadata: an issuer can have a page of its own, an error or a redirect there. Without any answer
 * it is not asked, because it is on the same server.
 *
 * @throws IssuerError `ERR_ISSUER_UNAVAILABLE` when neither URL answers with a document,
 *   `ERR_INVALID_METADATA` when a document names another issuer or an unsafe endpoint; `detail` has both
 */
export async function fetchMetadata(
  rules: MetadataRules,
  fetch: (url: string) => Promise<FetchedJson>,
): Promise<Fetched<AuthorizationServerMetadata>> {
  const details: string[] = [];
  let failure: Partial<IssuerError> = {};
  const { issuerBaseURL, metadataURL } = rules;
  for (const url of metadataURL ? [metadataURL] : metadataURLs(new URL(issuerBaseURL))) {
    try {
      const { status, body, maxAge } = await fetch(url);
      if (status === 200) return { value: checkMetadata(rules, body), maxAge };
      details.push(`GET ${url}: ${status}`);
    } catch (error) {
      const { code, detail = '' } = error as IssuerError;
      details.push(detail.startsWith('GET ') ? detail : `GET ${url}: ${detail}`);
      if (failure.code !== 'ERR_INVALID_METADATA') failure = error as IssuerError;
      if (code !== 'ERR_INVALID_METADATA' && !isAnswered(error as IssuerError)) break;
    }
  }
  const { code = 'ERR_ISSUER_UNAVAILABLE', cause } = failure;
  throw new IssuerError(code, { detail: details.join('; '), cause });
}

// An answer that cannot be read is one too.
function isAnswered({ cause }: IssuerError): boolean {
  const { code } = (cause ?? {}) as { code?: unknown };
  return code === undefined || code === 'ERR_HTTP_TOO_LARGE' || code === 'ERR_HTTP_CODING';
}

/** Checks a metadata document (RFC 8414 §3.3). @throws IssuerError `ERR_INVALID_METADATA` */
export function checkMetadata(
  { issuerBaseURL, metadataURL = issuerBaseURL, unsafeAllowHTTP = false }: MetadataRules,
  document: unknown,
): AuthorizationServerMetadata {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw invalidMetadata('the metadata is not a JSON object');
  }
  const metadata = document as Record<string, unknown>;
  if (typeof metadata.issuer !== 'string' || !isSameIssuer(issuerBaseURL, metadata.issuer)) {
    throw invalidMetadata(
      `the metadata's "issuer" is ${quoteURL(metadata.issuer)}, expected "${issuerBaseURL}"`,
    );
  }
  if (metadata.jwks_uri === undefined) throw invalidMetadata('the metadata has no "jwks_uri"');
  const isLocal = unsafeAllowHTTP || isLoopback(new URL(metadataURL));
  for (const name of ['jwks_uri', ...ENDPOINT_MEMBERS]) {
    checkEndpoint(name, metadata[name], { isLocal, unsafeAllowHTTP });
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

// Another server wrote it: only a URL goes into the log.
function quoteURL(value: unknown): string {
  const isURL = typeof value === 'string' && /^https?:\/\/[\x21\x23-\x7e]{1,200}$/.test(value);
  return isURL ? `"${value}"` : 'not a URL';
}

// A parser ignores them in a URL, but in a log they begin a line or change its order.
const INVISIBLE = /[\p{Cc}\p{Cf}\s]/u;

// The endpoints of an issuer on https must be on https: codes and tokens are sent there.
function checkEndpoint(
  name: string,
  value: unknown,
  { isLocal, unsafeAllowHTTP }: { isLocal: boolean; unsafeAllowHTTP: boolean },
): void {
  if (value === undefined) return;
  const url = parseURL(value);
  if (
    !url ||
    INVISIBLE.test(value as string) ||
    !isSecureURL(url, unsafeAllowHTTP) ||
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
