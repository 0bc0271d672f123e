import { randomBytes } from 'node:crypto';
import type { Client, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { outcomeOf } from './actions/login-outcome.ts';
import { storeUnknownParameters } from './actions/post-login.ts';
import { redirectPath } from './actions/redirects.ts';
import { SessionTerms } from './actions/session-terms.ts';
import { createAdapter } from './adapter.ts';
import { SCOPE_CLAIMS } from './claims/custom-claims.ts';
import { checkOrganizationUsage, requestedOrganization } from './claims/organizations.ts';
import type { AppContext } from './context.ts';
import { ROUTES } from './endpoints.ts';
import { checkIdTokenAlgorithm, signingKeySet } from './keys/signing-algorithms.ts';
import { deviceFlow } from './login/device.tsx';
import { loadGrant } from './login/grants.ts';
import { createLoginPolicy } from './login/login-policy.ts';
import { logoutSources } from './login/logout.tsx';
import { sessionSeconds } from './login/session-lifetime.ts';
import { checkIdTokenMode, checkWebMessageOrigin } from './login/web-message.tsx';
import { mayCall } from './tenant/applications.ts';
import { checkConnection } from './tenant/connections.ts';
import { findApplication, OIDC_SCOPES, RSA_ALGORITHMS } from './tenant/tenant.ts';
import { describeResource, requestedResource, settleOfflineAccess } from './token/audience.ts';
import { DEVICE_CODE_SECONDS } from './token/device-code.ts';
import { extraTokenClaims, maySeeToken, storesClaims } from './token/introspection.ts';
import {
  grantSeconds,
  refreshTokenSeconds,
  rotatesRefreshToken,
  shortenLifetime,
} from './token/refresh-token.ts';
import { customizeAccessToken, findAccount } from './token/token-claims.ts';
import { UserinfoTokens } from './token/userinfo-token.ts';
import { renderEngineError } from './views/error-page.tsx';

type Section<Name extends keyof Configuration> = NonNullable<Configuration[Name]>;

/** For the nonces of DPoP (RFC 9449 §8): those of an earlier process are no longer accepted. */
const NONCE_SECRET = randomBytes(32);

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 60 * MINUTE_SECONDS;
const DAY_SECONDS = 24 * HOUR_SECONDS;

export function engineConfiguration(context: AppContext): Configuration {
  const { issuer, tenant, tenantName, keys } = context;
  return {
    adapter: createAdapter({ ...context, userinfoTokens: new UserinfoTokens(context) }),
    jwks: signingKeySet(keys, tenant),
    enabledJWA: {
      idTokenSigningAlgValues: ['HS256', ...RSA_ALGORITHMS],
      introspectionSigningAlgValues: ['RS256'],
    },
    routes: ROUTES,
    scopes: OIDC_SCOPES,
    responseTypes: ['code', 'id_token'],
    clientAuthMethods: ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'none'],
    claims: Object.fromEntries(
      Object.entries(SCOPE_CLAIMS).filter(([scope]) => OIDC_SCOPES.includes(scope)),
    ),
    conformIdTokenClaims: false,
    // Required (OpenID Connect Core §3.1.2.1). The engine would use a single callback, also one with `*`.
    allowOmittingSingleRegisteredRedirectUri: false,
    // Auth0's dialect, at the userinfo endpoint alone: passport-auth0 sends it so.
    acceptQueryParamAccessTokens: true,
    // Cookies are shared between ports: apps and issuers on the same host need other names.
    cookies: {
      names: {
        session: `issuer_session_${new URL(issuer).port}`,
        interaction: 'issuer_interaction',
        resume: 'issuer_resume',
      },
    },
    extraParams: extraParams(context),
    ...(storesClaims(tenant) && { extraTokenClaims: extraTokenClaims(context) }),
    findAccount: findAccount(context),
    formats: { customizers: { jwt: customizeAccessToken(context) } },
    interactions: {
      policy: createLoginPolicy(context),
      // The cookie has this path; the id in it separates two tabs.
      url: (_ctx, { prompt: { name, details }, uid }) => {
        if (name !== 'actions') return `/u/${name === 'consent' ? 'consent' : 'login'}/${uid}`;
        return details.step ? `/u/mfa/${uid}` : redirectPath(String(details.state));
      },
    },
    loadExistingGrant: (ctx) => loadGrant(context, ctx),
    // A refresh token outlives the session, and each login has a grant of its own.
    expiresWithSession: () => false,
    rotateRefreshToken: (ctx) => rotatesRefreshToken(tenant, ctx),
    clientBasedCORS: (_ctx, origin, client) => {
      const application = findApplication(tenant, client.clientId);
      return application !== undefined && mayCall(tenant, application, origin);
    },
    renderError: renderEngineError(tenantName),
    features: features(context),
    ttl: lifetimes(context),
  };
}

/** Parameters of Auth0's authorization request, each with its check. */
function extraParams({ tenant }: AppContext): Section<'extraParams'> {
  return {
    // The engine calls this for every request, even without an audience.
    audience: (ctx: KoaContextWithOIDC, _audience: string | undefined, client: Client) => {
      checkWebMessageOrigin(findApplication(tenant, client.clientId), ctx.oidc);
      checkIdTokenMode(ctx.oidc);
      checkIdTokenAlgorithm(findApplication(tenant, client.clientId));
      settleOfflineAccess(tenant, ctx, client);
      if (tenant.postLogin.length + tenant.loginRules.length > 0) storeUnknownParameters(ctx);
    },
    connection: (_ctx: unknown, value: string | undefined, client: Client) =>
      checkConnection(tenant, value, client.clientId),
    organization: (_ctx: unknown, value: string | undefined, client: Client) => {
      checkOrganizationUsage(findApplication(tenant, client.clientId), value);
      requestedOrganization(tenant, value);
    },
    correlation_id: null,
    screen_hint: null,
  };
}

function features(context: AppContext): Section<'features'> {
  const { tenant } = context;
  return {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: deviceFlow(context),
    dPoP: {
      enabled: true,
      nonceSecret: NONCE_SECRET,
      requireNonce: (ctx) => ctx.state.demandsNonce === true,
    },
    pushedAuthorizationRequests: { enabled: true },
    revocation: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
    },
    introspection: { enabled: true, allowedPolicy: maySeeToken(context) },
    jwtIntrospection: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true, ...logoutSources(tenant) },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx, _client, oneOf) => oneOf ?? requestedResource(tenant, ctx),
      getResourceServerInfo: (ctx, resource, client) =>
        describeResource(tenant, ctx, resource, client),
      // Otherwise the engine would issue a token for /userinfo if `openid` is granted.
      useGrantedResource: () => true,
    },
  };
}

/** Lifetimes in seconds. */
function lifetimes({ tenant, store }: AppContext): Section<'ttl'> {
  const sessions = new SessionTerms(store);
  return {
    AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? DAY_SECONDS,
    AuthorizationCode: MINUTE_SECONDS,
    ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? DAY_SECONDS,
    DeviceCode: DEVICE_CODE_SECONDS,
    Grant: (_ctx, grant) => grantSeconds(findApplication(tenant, grant.clientId)),
    IdToken: (_ctx, _token, client) => {
      const settings = findApplication(tenant, client.clientId)?.jwt_configuration;
      return settings?.lifetime_in_seconds ?? 10 * HOUR_SECONDS;
    },
    Interaction: HOUR_SECONDS,
    RefreshToken: (ctx, token) =>
      shortenLifetime(
        refreshTokenSeconds(findApplication(tenant, token.clientId), token.iiat),
        outcomeOf(ctx).refreshTerms,
      ),
    // Anyone can create a session without a user; it lasts as long as a sign-in.
    Session: (_ctx, { accountId, transient, uid }) =>
      accountId === undefined
        ? HOUR_SECONDS
        : shortenLifetime(sessionSeconds(tenant, transient).idle, sessions.find(uid)),
  };
}
