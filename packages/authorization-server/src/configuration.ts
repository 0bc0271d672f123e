import type { Configuration } from 'oidc-provider';
import type { PostLogin } from './actions/post-login.ts';
import { redirectPath } from './actions/redirects.ts';
import { createAdapter } from './adapter.ts';
import { SCOPE_CLAIMS } from './claims/custom-claims.ts';
import {
  checkOrganizationUsage,
  type Organizations,
  requestedOrganization,
} from './claims/organizations.ts';
import { ROUTES } from './endpoints.ts';
import { renderEngineError } from './http/error-page.ts';
import type { SigningKeys } from './keys/signing-keys.ts';
import type { Consents } from './login/consents.ts';
import { loadGrant } from './login/grants.ts';
import { createLoginPolicy } from './login/login-policy.ts';
import { createLogoutPages } from './login/logout-pages.ts';
import { checkWebMessageOrigin } from './login/web-message.ts';
import type { StateStore } from './state/file.ts';
import { isWebOrigin } from './tenant/applications.ts';
import { checkConnection } from './tenant/connections.ts';
import { OIDC_SCOPES } from './tenant/resource-servers.ts';
import { findApplication, type Tenant } from './tenant/tenant.ts';
import { grantSeconds, refreshTokenSeconds } from './tenant/token-lifetimes.ts';
import type { Users } from './tenant/users.ts';
import { createAccessTokenCustomizer } from './token/access-token.ts';
import { createFindAccount } from './token/accounts.ts';
import { describeResource, requestedResource, settleOfflineAccess } from './token/audience.ts';
import type { TokenClock } from './token/clock.ts';
import { rotatesRefreshToken } from './token/refresh-token.ts';
import { createUserinfoTokens } from './token/userinfo-token.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

interface EngineParts {
  readonly issuer: string;
  readonly tenant: Tenant;
  readonly users: Users;
  readonly keys: SigningKeys;
  readonly store: StateStore;
  readonly clock: TokenClock;
  readonly consents: Consents;
  readonly organizations: Organizations;
  readonly postLogin: PostLogin;
  readonly credentialsExchange: Configuration['extraTokenClaims'];
}

/** The one object for oidc-provider. */
export function engineConfiguration(parts: EngineParts): Configuration {
  const {
    issuer,
    tenant,
    users,
    keys,
    store,
    clock,
    consents,
    organizations,
    postLogin,
    credentialsExchange,
  } = parts;
  const applicationOf = (clientId: string | undefined) => findApplication(tenant, clientId ?? '');
  const name = tenant.tenant.friendly_name;
  return {
    adapter: createAdapter(tenant, store, createUserinfoTokens(issuer, keys, clock)),
    jwks: keys,
    routes: ROUTES,
    scopes: OIDC_SCOPES,
    responseTypes: ['code'],
    clientAuthMethods: ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'none'],
    claims: Object.fromEntries(
      Object.entries(SCOPE_CLAIMS).filter(([scope]) => OIDC_SCOPES.includes(scope)),
    ),
    conformIdTokenClaims: false,
    // Cookies know no ports: other apps on this host must not share their names.
    cookies: {
      names: {
        session: 'issuer_session',
        interaction: 'issuer_interaction',
        resume: 'issuer_resume',
      },
    },
    extraParams: {
      // The engine calls this for every request, with an audience or without.
      audience: (ctx, _audience, client) => {
        checkWebMessageOrigin(applicationOf(client.clientId), ctx.oidc);
        settleOfflineAccess(tenant, ctx, client);
      },
      connection: (_ctx, value, client) => checkConnection(tenant, value, client.clientId),
      organization: (_ctx, value, client) => {
        checkOrganizationUsage(applicationOf(client.clientId), value);
        requestedOrganization(tenant, value);
      },
      screen_hint: null,
    },
    extraTokenClaims: credentialsExchange,
    findAccount: createFindAccount(users, postLogin, organizations),
    formats: {
      customizers: {
        jwt: createAccessTokenCustomizer(tenant, users, organizations, clock),
      },
    },
    interactions: {
      policy: createLoginPolicy(tenant, users, postLogin),
      // The id is in the path because the cookie's path is this one: two tabs don't collide.
      url: (_ctx, { prompt, uid }) =>
        prompt.name === 'actions'
          ? redirectPath(String(prompt.details.state))
          : `/u/${prompt.name === 'consent' ? 'consent' : 'login'}/${uid}`,
    },
    loadExistingGrant: (ctx) => loadGrant(tenant, users, consents, ctx),
    // A refresh token outlives the session, and each login has a grant of its own.
    expiresWithSession: () => false,
    rotateRefreshToken: (ctx) => rotatesRefreshToken(tenant, ctx),
    clientBasedCORS: (_ctx, origin, client) => {
      const application = applicationOf(client.clientId);
      return application !== undefined && isWebOrigin(application, origin);
    },
    renderError: renderEngineError(name),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, ...createLogoutPages(name) },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, _client, oneOf) => oneOf ?? requestedResource(ctx),
        getResourceServerInfo: (ctx, resource, client) =>
          describeResource(tenant, ctx, resource, client),
        // With `openid` granted the engine would issue a token for /userinfo instead.
        useGrantedResource: () => true,
      },
    },
    ttl: {
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? DAY,
      AuthorizationCode: MINUTE,
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? DAY,
      Grant: (_ctx, grant) => grantSeconds(applicationOf(grant.clientId)),
      IdToken: 10 * HOUR,
      Interaction: HOUR,
      RefreshToken: (_ctx, token) => refreshTokenSeconds(applicationOf(token.clientId), token.iiat),
      // One that nobody signed in to yet is made by whoever asks; it lasts as long as a sign-in may.
      Session: (_ctx, session) => (session.accountId === undefined ? HOUR : 7 * DAY),
    },
  };
}
