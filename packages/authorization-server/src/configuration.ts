import type { Configuration } from 'oidc-provider';
import { createAccessTokenCustomizer } from './access-token.ts';
import { createFindAccount } from './accounts.ts';
import {
  describeResource,
  OIDC_SCOPES,
  requestedResource,
  settleOfflineAccess,
} from './audience.ts';
import { isWebOrigin } from './clients.ts';
import type { Consents } from './consents.ts';
import { SCOPE_CLAIMS } from './custom-claims.ts';
import { ROUTES } from './endpoints.ts';
import { createAdapter } from './engine-adapter.ts';
import { renderEngineError } from './error-page.ts';
import { loadGrant } from './grants.ts';
import { createLoginPolicy } from './login-policy.ts';
import { createLogoutPages } from './logout-pages.ts';
import {
  checkOrganizationUsage,
  type Organizations,
  requestedOrganization,
} from './organizations.ts';
import type { PostLogin } from './post-login.ts';
import { redirectPath } from './redirects.ts';
import { grantSeconds, refreshTokenSeconds, rotatesRefreshToken } from './refresh-token.ts';
import { checkConnection } from './requested-connection.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { StateStore } from './state-store.ts';
import { findApplication, type Tenant } from './tenant.ts';
import type { TokenClock } from './token-clock.ts';
import { createUserinfoTokens } from './userinfo-token.ts';
import type { Users } from './users.ts';
import { checkWebMessageOrigin } from './web-message.ts';

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
        jwt: createAccessTokenCustomizer(tenant, users, postLogin, organizations, clock),
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
