import type { Context, Middleware, Next } from 'koa';
import type {
  AccessToken,
  Account,
  AccountClaims,
  ClientCredentials,
  FindAccount,
  JWTStructured,
  KoaContextWithOIDC,
  RefreshToken,
} from 'oidc-provider';
import { loginId, outcomeOf } from '../actions/login-outcome.ts';
import { isStandardClaim } from '../claims/custom-claims.ts';
import { changeScope, splitScope } from '../claims/scope-changes.ts';
import type { AppContext } from '../context.ts';
import { sourceOf } from '../endpoints.ts';
import type { EngineHooks } from '../oidc-provider.ts';
import { type Api, findApi, permissionsOf, type User } from '../tenant/tenant.ts';
import { applyChosenApi } from './multi-resource.ts';

type Claims = Record<string, unknown>;

type CustomizeAccessToken = (
  ctx: KoaContextWithOIDC,
  token: AccessToken | ClientCredentials,
  jwt: JWTStructured,
) => void;

/** `acr` of a sign-in with a second factor, as Auth0 names it. */
const MULTI_FACTOR = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';
const TEN_YEARS_SECONDS = 315_360_000;
const TIME_CLAIMS = ['iat', 'exp', 'nbf', 'auth_time'];

/** Writes access tokens in the API's dialect: Auth0's own, or RFC 9068 §2; `…authz` has `permissions`. */
export function customizeAccessToken(context: AppContext): CustomizeAccessToken {
  const { tenant, clock } = context;
  return function customizeAccessToken(ctx, token, jwt) {
    const api = findApi(tenant, jwt.payload.aud);
    if (api === undefined) return;
    const rfc9068 = api.token_dialect.startsWith('rfc9068');
    const { jti, client_id, aud, iss, sub, iat, exp, scope, ...rest } = jwt.payload;
    const { custom, own } = claimsBeyondEngine(context, ctx, token, api);
    // An API that has the secret of HS256 could sign tokens for /userinfo itself.
    const withUserinfo = splitScope(scope).includes('openid') && api.signing_alg !== 'HS256';
    jwt.header = { ...jwt.header, typ: rfc9068 ? 'at+jwt' : 'JWT' };
    jwt.payload = byClock(
      {
        ...custom,
        ...rest,
        iss,
        sub,
        // The engine rejects several audiences, but checks them before this hook.
        aud: withUserinfo ? [aud, `${ctx.oidc.issuer}userinfo`] : aud,
        iat,
        exp,
        scope,
        ...(rfc9068 ? { client_id, jti } : { azp: client_id, ...grantType(token) }),
        ...own,
      },
      clock,
    );
  };
}

/** Returns the custom claims of an access token, and those that follow from the login and the API. */
export function claimsBeyondEngine(
  context: AppContext,
  ctx: KoaContextWithOIDC,
  token: AccessToken | ClientCredentials,
  api: Api,
): { custom: Claims; own: Claims } {
  const permissions = permissionsClaim(context, token, api);
  if (token.kind === 'ClientCredentials') {
    return { custom: {}, own: { sub: `${token.clientId}@clients`, ...permissions } };
  }
  const signIn = { ...signInClaims(ctx), ...context.organizations.claims(ctx) };
  return { custom: outcomeOf(ctx).accessToken, own: { ...signIn, ...permissions } };
}

export function accessTokenScope(
  ctx: KoaContextWithOIDC,
  scope: string | undefined,
): string | undefined {
  const { scope: changes } = outcomeOf(ctx);
  return changes === undefined ? scope : changeScope(scope, changes);
}

/** Finds a user, and loads the outcome of the Actions; at a refresh it runs them. */
export function findAccount(context: AppContext): FindAccount {
  const { users, postLogin, outcomes, organizations } = context;
  return async function findAccount(ctx, userId, token): Promise<Account | undefined> {
    const user = users.find(userId);
    if (user === undefined || user.blocked) return undefined;
    if (token?.kind === 'RefreshToken') {
      // A reused token ends its family in the engine: no denial by an Action may come first.
      if (!token.consumed) {
        if (!organizations.stillMember(token.grantId, user)) return undefined;
        applyChosenApi(context, ctx, { user, token: token as RefreshToken });
        await postLogin.onRefresh(ctx, user);
      }
    } else if (token?.kind === 'AccessToken') {
      outcomes.load(ctx, loginId(userId, token.clientId ?? ''));
    } else if (token?.grantId !== undefined) outcomes.load(ctx, token.grantId);
    return {
      accountId: userId,
      // The engine removes standard claims without their scope, also those that an Action set.
      claims: () => ({
        ...profileOf(user),
        ...Object.fromEntries(
          Object.entries(outcomeOf(ctx).idToken).filter(([name]) => isStandardClaim(name)),
        ),
        sub: userId,
      }),
    };
  };
}

/** Adds organization and custom claims to an ID token; the engine's own override the latter. */
export function idTokenClaims({ organizations, clock }: AppContext): EngineHooks['idTokenClaims'] {
  return function idTokenClaims(ctx, { nonce, ...claims }) {
    const iat = Math.floor(Date.now() / 1000);
    // The engine makes a signed introspection answer as an ID token (RFC 9701).
    if (ctx.oidc.route === 'introspection') return byClock({ ...claims, iat }, clock);
    // The nonce is that of the sign-in: a refreshed ID token has none (OpenID Connect Core §12.2).
    const refresh = ctx.oidc.params?.grant_type === 'refresh_token';
    // Auth0 names no other method.
    const mfa = hasSecondFactor(ctx) && { acr: MULTI_FACTOR, amr: ['mfa'] };
    const ofRequest = { ...(!refresh && { nonce }), ...mfa };
    const own = { ...claims, ...ofRequest, ...organizations.claims(ctx), iat };
    return byClock({ ...customClaims(ctx), ...own }, clock);
  };
}

/** Adds the claims that the Actions set in the latest ID token to the userinfo answer. */
export function userinfoClaims(): Middleware {
  return async function userinfoClaims(ctx: Context, next: Next) {
    await next();
    if (ctx.status !== 200 || !isClaims(ctx.body)) return;
    ctx.body = { ...customClaims(ctx as unknown as KoaContextWithOIDC), ...ctx.body };
  };
}

/** Returns a valid clock. @throws RangeError that names the accepted values. */
export function checkClock(seconds: number): number {
  if (Number.isInteger(seconds) && Math.abs(seconds) <= TEN_YEARS_SECONDS) return seconds;
  throw new RangeError('clock: give whole seconds, ten years (315360000) at most');
}

export function byClock<T extends object>(claims: T, { seconds }: AppContext['clock']): T {
  if (seconds === 0) return claims;
  const times = Object.entries(claims).filter(
    (entry): entry is [string, number] =>
      TIME_CLAIMS.includes(entry[0]) && typeof entry[1] === 'number',
  );
  return { ...claims, ...Object.fromEntries(times.map(([name, at]) => [name, at + seconds])) };
}

/** OpenID Connect Core §5.1. */
function profileOf(user: User): AccountClaims {
  return {
    sub: user.user_id,
    name: user.name,
    given_name: user.given_name,
    family_name: user.family_name,
    nickname: user.nickname ?? (user.email.split('@')[0] || undefined),
    picture: user.picture,
    ...(user.email && { email: user.email, email_verified: user.email_verified }),
  };
}

/**
 * Returns the facts of the sign-in (RFC 9068 §2.2.1): `acr` after a second factor, and `auth_time` with it or
 * if the request limits the age of the sign-in. They stay the same in all tokens of one sign-in.
 */
function signInClaims(ctx: KoaContextWithOIDC): Claims {
  const { authTime: auth_time, claims } = sourceOf(ctx) ?? {};
  if (hasSecondFactor(ctx)) return { acr: MULTI_FACTOR, auth_time };
  return claims?.id_token?.auth_time ? { auth_time } : {};
}

function hasSecondFactor(ctx: KoaContextWithOIDC): boolean {
  return sourceOf(ctx)?.amr?.includes('mfa') ?? false;
}

/** Returns `gty`, for tokens without a sign-in. */
function grantType(token: AccessToken | ClientCredentials): { gty?: string } {
  if (token.kind === 'ClientCredentials') return { gty: 'client-credentials' };
  return (token as AccessToken).gty?.endsWith('refresh_token') ? { gty: 'refresh_token' } : {};
}

function permissionsClaim(
  { tenant, users }: AppContext,
  token: AccessToken | ClientCredentials,
  api: Api,
): { permissions?: string[] } {
  if (!api.token_dialect.endsWith('authz')) return {};
  if (token.kind === 'ClientCredentials') {
    return { permissions: splitScope(token.scope) };
  }
  const user = users.find((token as AccessToken).accountId);
  return { permissions: user === undefined ? [] : permissionsOf(tenant, user, api) };
}

/** Returns the claims of the Actions for the ID token that need no scope. */
function customClaims(ctx: KoaContextWithOIDC): Claims {
  const { idToken } = outcomeOf(ctx);
  return Object.fromEntries(Object.entries(idToken).filter(([name]) => !isStandardClaim(name)));
}

function isClaims(body: unknown): body is Record<string, unknown> {
  return typeof body === 'object' && body !== null && 'sub' in body;
}
