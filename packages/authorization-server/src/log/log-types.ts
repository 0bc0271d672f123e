import type { KoaContextWithOIDC } from 'oidc-provider';
import { ROUTES } from '../endpoints.ts';

/** Auth0's log event type codes ("Log Type Codes") for what happens at this server. */
export type LogType =
  | 'api_limit'
  | 'f'
  | 'fco'
  | 'feacft'
  | 'feccft'
  | 'fede'
  | 'feoobft'
  | 'feotpft'
  | 'fepft'
  | 'fepotpft'
  | 'fercft'
  | 'ferrt'
  | 'fertft'
  | 'flo'
  | 'fp'
  | 'fpar'
  | 'fsa'
  | 'fu'
  | 'limit_wc'
  | 'oidc_backchannel_logout_failed'
  | 'oidc_backchannel_logout_succeeded'
  | 's'
  | 'seacft'
  | 'seccft'
  | 'sertft'
  | 'slo'
  | 'srrt'
  | 'ssa';

const AUTH0 = 'http://auth0.com/oauth/grant-type/';

const EXCHANGES: Readonly<Record<string, readonly [failed: LogType, succeeded?: LogType]>> = {
  authorization_code: ['feacft', 'seacft'],
  client_credentials: ['feccft', 'seccft'],
  refresh_token: ['fertft', 'sertft'],
  password: ['fepft'],
  [`${AUTH0}password-realm`]: ['fepft'],
  [`${AUTH0}mfa-oob`]: ['feoobft'],
  [`${AUTH0}mfa-otp`]: ['feotpft'],
  [`${AUTH0}mfa-recovery-code`]: ['fercft'],
  [`${AUTH0}passwordless/otp`]: ['fepotpft'],
  'urn:ietf:params:oauth:grant-type:device_code': ['fede'],
};

/** The grant type of a request, if Auth0 has one of that name: another may be anything. */
export function knownGrantType({ params }: KoaContextWithOIDC['oidc']): string | undefined {
  const grantType = params?.grant_type;
  return typeof grantType === 'string' && Object.hasOwn(EXCHANGES, grantType)
    ? grantType
    : undefined;
}

/** A code that goes out; `ssa` for one that was asked for with `prompt=none`. */
export function loginType({ oidc }: KoaContextWithOIDC): LogType {
  return isSilent(oidc) ? 'ssa' : 's';
}

/** Tokens that go out. */
export function exchangeType({ oidc }: KoaContextWithOIDC): LogType | undefined {
  return exchangeOf(oidc)?.[1];
}

/**
 * @param endpoint its path.
 * @param reason what the engine says of it, the private part too.
 * @param ctx as far as the engine came with it.
 * @returns undefined where Auth0 writes no log.
 */
export function refusalType(
  endpoint: string,
  reason: string,
  { status, oidc }: { status?: number; oidc?: KoaContextWithOIDC['oidc'] | undefined },
): LogType | undefined {
  if (status === 429) return 'api_limit';
  if (/^origin .* not allowed for client/.test(reason)) return 'fco';
  if (endpoint.startsWith(ROUTES.authorization)) return isSilent(oidc) ? 'fsa' : 'f';
  if (endpoint === ROUTES.pushed_authorization_request) return 'fpar';
  if (endpoint === ROUTES.end_session || endpoint === '/v2/logout') return 'flo';
  if (endpoint !== ROUTES.token) return undefined;
  const [failed] = exchangeOf(oidc) ?? [];
  return failed === 'fertft' && reason.includes('already used') ? 'ferrt' : failed;
}

function isSilent(oidc: KoaContextWithOIDC['oidc'] | undefined): boolean {
  return oidc?.params?.prompt === 'none';
}

function exchangeOf(oidc: KoaContextWithOIDC['oidc'] | undefined) {
  const grantType = oidc && knownGrantType(oidc);
  return grantType === undefined ? undefined : EXCHANGES[grantType];
}
