import type { KoaContextWithOIDC } from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import { isClaimScope } from '../claims/custom-claims.ts';
import { type ScopeChanges, splitScope } from '../claims/scope-changes.ts';
import type { AppContext } from '../context.ts';
import { endpointOf, oidcOf, ROUTES, sourceOf } from '../endpoints.ts';
import {
  type Api,
  type Application,
  allowedScopes,
  apiOf,
  findApplication,
  OIDC_SCOPES,
  scopesOf,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import { sentScope } from '../token/audience.ts';
import { DEVICE_CODE_GRANT, NOT_CONFIRMED } from '../token/device-code.ts';
import type { Redact } from './redaction.ts';
import type { DroppedScope, LogType, Step, TimedStep } from './transactions.ts';

const AUTH0_GRANT = 'http://auth0.com/oauth/grant-type/';

/** Log types of a failed and a successful exchange, by grant type. */
const EXCHANGE_TYPES: Readonly<Record<string, readonly [failed: LogType, succeeded?: LogType]>> = {
  authorization_code: ['feacft', 'seacft'],
  client_credentials: ['feccft', 'seccft'],
  refresh_token: ['fertft', 'sertft'],
  password: ['fepft'],
  [`${AUTH0_GRANT}password-realm`]: ['fepft'],
  [`${AUTH0_GRANT}mfa-oob`]: ['feoobft'],
  [`${AUTH0_GRANT}mfa-otp`]: ['feotpft'],
  [`${AUTH0_GRANT}mfa-recovery-code`]: ['fercft'],
  [`${AUTH0_GRANT}passwordless/otp`]: ['fepotpft'],
  [DEVICE_CODE_GRANT]: ['fede', 'sede'],
};

/** Dependencies of the steps. Texts are redacted; claims are recorded by name, without their values. */
export interface StepContext extends AppContext {
  readonly redact: Redact;
}

interface IssuedScopes {
  readonly asked: readonly string[];
  readonly issued: readonly string[];
  readonly user?: User | undefined;
  readonly application?: Application | undefined;
  readonly api?: Api | undefined;
  readonly changes?: ScopeChanges | undefined;
  /** Scopes of the login; given at a refresh, which may ask for less. */
  readonly granted?: readonly string[] | undefined;
}

export function requestStep({ redact }: StepContext, ctx: KoaContextWithOIDC): Step {
  const oidc = oidcOf(ctx);
  const { params, body, client } = oidc ?? {};
  const fields: Record<string, unknown> = { ...body, ...params };
  return {
    step: 'request',
    endpoint: oidc?.route === 'resume' ? ROUTES.authorization : (endpointOf(ctx) ?? ''),
    grantType: redact(fields.grant_type, ctx),
    client: client?.clientId ?? redact(fields.client_id ?? ctx.query.client_id, ctx),
    scope: oidc && splitScope(redact(sentScope(ctx).join(' '), ctx)),
    audience: redact(body?.audience ?? fields.audience, ctx),
    organization: redact(fields.organization, ctx),
  };
}

export function signInStep({ oidc }: KoaContextWithOIDC): Step {
  const outcome = oidc.result?.login === undefined ? 'session' : 'succeeded';
  return { step: 'sign-in', outcome, user: oidc.session?.accountId };
}

/** Returns undefined when the tenant has no rules and no Actions. */
export function actionsStep(
  { tenant, redact }: StepContext,
  ctx: KoaContextWithOIDC,
): Step | undefined {
  const names = [...tenant.loginRules, ...tenant.postLogin].map(({ name }) => name);
  if (names.length === 0) return undefined;
  const { accessToken, idToken, scope, denied } = outcomeOf(ctx);
  const shown = (texts: readonly string[] = []) => texts.map((one) => redact(one, ctx) ?? '');
  return {
    step: 'actions',
    names,
    denied: redact(denied, ctx),
    claims: shown([...new Set([...Object.keys(accessToken), ...Object.keys(idToken)])]),
    scopeAdded: shown([...(scope?.only ?? []), ...(scope?.added ?? [])]),
    scopeRemoved: shown(scope?.removed),
  };
}

/** @param earlier steps of the same transaction. */
export function tokensStep(
  { tenant, users, redact }: StepContext,
  ctx: KoaContextWithOIDC,
  earlier: readonly TimedStep[],
): Step {
  const { entities, params, account, client } = ctx.oidc;
  const refresh = params?.grant_type === 'refresh_token';
  const token = entities.AccessToken ?? entities.ClientCredentials;
  const answer = ctx.body as Record<string, unknown>;
  const issued = splitScope(redact(answer.scope ?? token?.scope, ctx));
  const granted = refresh ? splitScope(redact(entities.RefreshToken?.scope, ctx)) : undefined;
  const asked = earlier.flatMap((one) => (one.step === 'request' ? (one.scope ?? []) : []));
  return {
    step: 'tokens',
    kinds: Object.keys(answer).filter((name) => name.endsWith('_token')),
    user: account?.accountId,
    audience: token?.aud === undefined ? undefined : redact(String(token.aud), ctx),
    scope: issued,
    dropped: droppedScopes(tenant, {
      asked: refresh && asked.length === 0 ? (granted ?? []) : asked,
      issued,
      user: users.find(account?.accountId),
      application: findApplication(tenant, client?.clientId),
      api: apiOf(tenant, params?.resource ?? sourceOf(ctx)?.resource),
      changes: outcomeOf(ctx).scope,
      granted,
    }),
  };
}

/** Returns the requested scopes that are not in the token, each with the setting that removed it. */
export function droppedScopes(tenant: Tenant, scopes: IssuedScopes): DroppedScope[] {
  return [...new Set(scopes.asked)]
    .filter((scope) => !scopes.issued.includes(scope))
    .map((scope) => ({ scope, why: whyDropped(tenant, scopes, scope) }));
}

function whyDropped(tenant: Tenant, scopes: IssuedScopes, scope: string): string | undefined {
  const { user, application, api, changes, granted } = scopes;
  if (isClaimScope(scope, api)) return 'no Action set this claim';
  if (changes?.removed.includes(scope)) return 'an Action removed it';
  if (changes?.only !== undefined && !changes.only.includes(scope)) return 'a rule replaced all';
  if (granted !== undefined && !granted.includes(scope)) return 'not granted at the sign-in';
  if (scope === 'offline_access') {
    if (!application?.grant_types.includes('refresh_token')) {
      return 'the application has no grant type refresh_token';
    }
    return api?.allow_offline_access === false ? `${api.name} allows no offline access` : undefined;
  }
  if (OIDC_SCOPES.includes(scope)) return undefined;
  if (api === undefined) return 'no audience was asked for';
  if (!scopesOf(api).includes(scope)) return `${api.name} has no such scope`;
  if (user !== undefined && !allowedScopes(tenant, user, api).includes(scope)) {
    return "no role of the user's permits it";
  }
  return undefined;
}

/** Returns the request's grant type if Auth0 defines it; an unknown one may hold a secret. */
export function knownGrantType({ params }: KoaContextWithOIDC['oidc']): string | undefined {
  const grantType = params?.grant_type;
  return typeof grantType === 'string' && Object.hasOwn(EXCHANGE_TYPES, grantType)
    ? grantType
    : undefined;
}

/** Returns the type for an issued code; `ssa` if it was requested with `prompt=none`. */
export function loginType({ oidc }: KoaContextWithOIDC): LogType {
  return isSilent(oidc) ? 'ssa' : 's';
}

/** @param reason of the engine, with its private part. */
export function refusalType(
  endpoint: string,
  reason: string,
  { status, oidc }: { status?: number; oidc?: KoaContextWithOIDC['oidc'] | undefined },
): LogType | undefined {
  if (status === 429) return 'api_limit';
  if (/^origin .* not allowed for client/.test(reason)) return 'fco';
  if (endpoint.startsWith(ROUTES.authorization)) return isSilent(oidc) ? 'fsa' : 'f';
  if (endpoint === ROUTES.pushed_authorization_request) return 'fpar';
  if (endpoint === ROUTES.device_authorization) return 'fdeaz';
  if (endpoint === ROUTES.code_verification) return reason === NOT_CONFIRMED ? 'fdecc' : 'fdeac';
  if (endpoint === ROUTES.end_session || endpoint === '/v2/logout') return 'flo';
  if (endpoint !== ROUTES.token) return undefined;
  const { failed } = exchangeTypes(oidc);
  return failed === 'fertft' && reason.includes('already used') ? 'ferrt' : failed;
}

function isSilent(oidc: KoaContextWithOIDC['oidc'] | undefined): boolean {
  return oidc?.params?.prompt === 'none';
}

/** Returns the types of an exchange, which depend on its grant type. */
export function exchangeTypes(oidc: KoaContextWithOIDC['oidc'] | undefined) {
  const [failed, succeeded] = EXCHANGE_TYPES[(oidc && knownGrantType(oidc)) ?? ''] ?? [];
  return { failed, succeeded };
}
