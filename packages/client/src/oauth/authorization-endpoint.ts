import { hash, randomBytes } from 'node:crypto';
import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import { parseURL } from '@koa-oauth/issuer';
import { AuthorizationRefused, OidcError } from '../errors.ts';
import { createSessionKey, requireDpopSupport, type SessionKey, thumbprintOf } from './dpop.ts';
import { isScopeParameter } from './scope.ts';
import { isObject } from './signed-jwt.ts';

/**
 * Parameters of an authorization request. Apps set `scope` and `audience`; any other parameter of the
 * authorization server may be added (`prompt`, `login_hint`, `organization`, …).
 *
 * @example
 * auth({
 *   ...options,
 *   authorizationParams: { scope: 'openid offline_access read:orders', audience: 'https://api.example.com' },
 * });
 */
export interface AuthorizationParams {
  scope?: string | undefined;
  /** The API that the access token is for: its identifier, not its address. */
  audience?: string | undefined;
  /** The API's absolute URI, for a server that speaks RFC 8707; such a server ignores `audience`. */
  resource?: string | undefined;
  /** Seconds since the user last signed in; 0 asks for a new sign-in. */
  max_age?: number | undefined;
  /**
   * Authentication context classes, one of which is wanted, with spaces between them. The issuer may
   * ignore it; `requiresAuth({ acr })` requires it.
   */
  acr_values?: string | undefined;
  /**
   * Claims wanted one by one, as JSON (OpenID Connect Core §5.5). Where it asks for `acr` as
   * essential, an ID token without one of its values opens no session.
   */
  claims?: string | undefined;
  [name: string]: string | number | boolean | undefined;
}

const RESERVED_PARAMETERS = [
  'response_type',
  'response_mode',
  'client_id',
  'redirect_uri',
  'request',
  'request_uri',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'dpop_jkt',
];

/** Returns a sentence for each fault of the parameters. */
export function authorizationParamsFaults(params: AuthorizationParams): string[] {
  const faults = Object.keys(params)
    .filter((name) => RESERVED_PARAMETERS.includes(name))
    .map((name) => `authorizationParams.${name} is set by this package and cannot be given`);
  const { scope, audience, resource, max_age } = params;
  if (typeof scope !== 'string' || !scope.split(' ').includes('openid')) {
    faults.push('authorizationParams.scope must contain "openid", or no ID token is issued');
  } else if (!isScopeParameter(scope) || scope.split(' ').includes('')) {
    faults.push('authorizationParams.scope must be scopes with one space between them');
  }
  if (audience !== undefined && (typeof audience !== 'string' || audience === '')) {
    faults.push('authorizationParams.audience must be the identifier of an API');
  }
  if (resource !== undefined && (!parseURL(resource) || String(resource).includes('#'))) {
    faults.push('authorizationParams.resource must be an absolute URI without a fragment');
  }
  if (max_age !== undefined && !(Number.isSafeInteger(max_age) && max_age >= 0)) {
    faults.push('authorizationParams.max_age must be a whole number of seconds, 0 or more');
  }
  try {
    essentialAcr(params.claims);
  } catch (error) {
    faults.push((error as Error).message);
  }
  return faults;
}

/** Time that a user has to sign in. */
export const LOGIN_LIFETIME_SECONDS = 600;

/** State of a login that must survive the way to the authorization server and back. */
export interface Transaction {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
  /** The issuer it was sent to (RFC 9700 §4.4.2). */
  readonly issuer: string;
  readonly redirectURI: string;
  readonly scope: string;
  readonly audience: string | undefined;
  readonly maxAge: number | undefined;
  readonly acrValues?: string | undefined;
  /** The ID token's `acr` must be one of these, if any. */
  readonly essentialAcr?: readonly string[] | undefined;
  /** True when the `claims` parameter asks for claims of the userinfo endpoint. */
  readonly wantsUserinfo?: boolean | undefined;
  /** Key that the tokens will be bound to, if any. */
  readonly dpopKey?: SessionKey | undefined;
  readonly returnTo: string;
  /** Parameters of this login alone, for another try. */
  readonly params: AuthorizationParams;
  /** True for a login that was begun again. */
  readonly isRetry: boolean;
  /** Seconds since 1970. */
  readonly startedAt: number;
}

export interface AuthorizationRequest {
  /** For the authorization endpoint, or for the one that they are pushed to. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly transaction: Transaction;
}

/**
 * Makes an authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) with PKCE S256
 * (RFC 7636), and the transaction that verifies its answer.
 *
 * @param login redirect URI, path to return to and start of the login. `isElsewhere`: it begins at another
 *   origin than that of the redirect URI. `isBound`: its tokens get bound to a new key (RFC 9449 §10)
 */
export function createAuthorizationRequest(
  metadata: AuthorizationServerMetadata,
  clientID: string,
  params: AuthorizationParams,
  {
    isElsewhere,
    isBound,
    ...login
  }: Pick<Transaction, 'redirectURI' | 'returnTo' | 'params' | 'isRetry' | 'startedAt'> & {
    isElsewhere: boolean;
    isBound: boolean;
  },
): AuthorizationRequest {
  const faults = authorizationParamsFaults(params);
  if (faults.length > 0) throw new OidcError('ERR_LOGIN_PARAMETERS', { detail: faults.join('; ') });
  const { code_challenge_methods_supported: methods } = metadata;
  if (methods && !methods.includes('S256')) throw unsuitable('it does not support PKCE with S256');
  if (isBound) requireDpopSupport(metadata);
  const transaction: Transaction = {
    state: createState(login.startedAt, isElsewhere),
    nonce: randomToken(),
    codeVerifier: randomToken(),
    dpopKey: isBound ? createSessionKey() : undefined,
    ...login,
    issuer: metadata.issuer,
    scope: params.scope ?? '',
    audience: params.resource ?? params.audience,
    maxAge: params.max_age,
    acrValues: params.acr_values,
    essentialAcr: essentialAcr(params.claims),
    wantsUserinfo: wantsUserinfo(params.claims),
  };
  return { parameters: requestParameters(clientID, params, transaction), transaction };
}

function requestParameters(
  clientID: string,
  params: AuthorizationParams,
  { redirectURI, state, nonce, codeVerifier, dpopKey }: Transaction,
): Record<string, string> {
  const all: AuthorizationParams = {
    response_type: 'code',
    client_id: clientID,
    redirect_uri: redirectURI,
    ...params,
    state,
    nonce,
    code_challenge: codeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    dpop_jkt: dpopKey && thumbprintOf(dpopKey),
  };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

/** Returns the authorization endpoint, which keeps its own query, with these parameters. */
export function authorizationURL(
  { authorization_endpoint }: AuthorizationServerMetadata,
  parameters: Readonly<Record<string, string>>,
): string {
  if (!authorization_endpoint) throw unsuitable('it has no authorization endpoint');
  const url = new URL(authorization_endpoint);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/**
 * Parses the parameters of a callback. None is verified yet.
 *
 * @throws OidcError `ERR_AUTHORIZATION_RESPONSE` when one comes twice (RFC 6749 §3.1)
 */
export function readAuthorizationResponse(querystring: string): URLSearchParams {
  const params = new URLSearchParams(querystring);
  const names = [...params.keys()];
  if (new Set(names).size !== names.length) {
    throw new OidcError('ERR_AUTHORIZATION_RESPONSE', { detail: 'a parameter comes twice' });
  }
  return params;
}

/**
 * Judges a callback whose transaction was found, so whose `state` is right: first who sent it
 * (RFC 9207 §2.4), then whether it is an error, then the code (RFC 6749 §4.1.2), which it returns.
 *
 * @param needsIss true when the issuer's metadata promises the `iss` parameter (RFC 9207 §3), or a profile
 *   requires it
 */
export function judgeAuthorizationResponse(
  params: URLSearchParams,
  { issuer, needsIss }: { issuer: string; needsIss: boolean },
): string {
  const iss = params.get('iss');
  if (iss === null && needsIss) {
    throw new OidcError('ERR_ISSUER_MISMATCH', { detail: '"iss" is missing' });
  }
  if (iss !== null && iss !== issuer) {
    throw new OidcError('ERR_ISSUER_MISMATCH', { detail: '"iss" is not the issuer asked' });
  }
  const error = params.get('error');
  if (error !== null) {
    throw new AuthorizationRefused(error, params.get('error_description') ?? undefined);
  }
  const code = params.get('code');
  if (!code) {
    throw new OidcError('ERR_AUTHORIZATION_RESPONSE', { detail: '"code" is missing' });
  }
  return code;
}

const ELSEWHERE = 'elsewhere';

/** Returns 256 random bits, and start and place of the login, which explain a missing cookie. */
function createState(startedAt: number, isElsewhere: boolean): string {
  const parts = [randomToken(), Math.floor(startedAt).toString(36)];
  return [...parts, ...(isElsewhere ? [ELSEWHERE] : [])].join('.');
}

/** Reads start and place of a login from its state. They are not verified, and only for the log. */
export function readState(state: string): { startedAt: number; isElsewhere: boolean } {
  const [, time = '', place] = state.split('.');
  return { startedAt: Number.parseInt(time, 36), isElsewhere: place === ELSEWHERE };
}

/** Returns the name of the login that a state belongs to. The state cannot be derived from it. */
export function loginIdOf(state: string): string {
  return hash('sha256', state, 'base64url').slice(0, 16);
}

/** Returns 256 random bits in base64url: for state, nonce, code verifier and session id. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Returns the code challenge (RFC 7636 §4.2, method S256). */
export function codeChallenge(codeVerifier: string): string {
  return hash('sha256', codeVerifier, 'base64url');
}

/**
 * Returns the authentication context classes of which the ID token must have one: those that the
 * `claims` parameter asks for as essential (OpenID Connect Core §5.5, §5.5.1.1), if any. `acr_values`
 * requires none (§3.1.2.1).
 *
 * @throws TypeError when it is not such a parameter
 */
export function essentialAcr(claims: unknown): readonly string[] | undefined {
  if (claims === undefined) return undefined;
  try {
    const { id_token } = asObject(typeof claims === 'string' && JSON.parse(claims));
    const { acr } = asObject(id_token ?? {});
    const { essential, value, values } = asObject(acr ?? {});
    const wanted = values ?? (value === undefined ? undefined : [value]);
    if (essential !== true || wanted === undefined) return undefined;
    if (Array.isArray(wanted) && wanted.every((one) => typeof one === 'string')) return wanted;
  } catch {}
  throw new TypeError('authorizationParams.claims must be JSON as OpenID Connect Core §5.5 has it');
}

/** Reports whether the `claims` parameter, once checked, has a `userinfo` member. */
function wantsUserinfo(claims: string | undefined): true | undefined {
  return claims !== undefined && JSON.parse(claims).userinfo ? true : undefined;
}

function asObject(value: unknown): Record<string, unknown> {
  if (isObject(value)) return value;
  throw new TypeError('not an object');
}

function unsuitable(detail: string): OidcError {
  return new OidcError('ERR_ISSUER_UNSUITABLE', { detail });
}
