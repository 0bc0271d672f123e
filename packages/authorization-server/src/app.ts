import Router from '@koa/router';
import type { Provider as Engine } from 'oidc-provider';
import type { Logger } from 'pino';
import { openAccessTokenScope } from './access-token-scope.ts';
import type { ActionCache } from './action-cache.ts';
import { routeAssets } from './assets.ts';
import {
  afterEachLogin,
  onIssuerOrigin,
  ProviderWithoutIss,
  speakAuth0Errors,
  withoutIssInMetadata,
} from './auth0-dialect.ts';
import { sendLogoutTokensAnywhere } from './backchannel-logout.ts';
import { engineConfiguration } from './configuration.ts';
import { createConsents } from './consents.ts';
import { createCredentialsExchange } from './credentials-exchange.ts';
import { allowOriginOfRefusals } from './cross-origin.ts';
import { Provider } from './engine.ts';
import { answerErrors } from './error-page.ts';
import type { Faults } from './faults.ts';
import { routeFederation } from './federation.ts';
import { openIdToken } from './id-token.ts';
import { createIdentityProviders } from './identity-providers.ts';
import { injectFaults } from './inject-faults.ts';
import { routeInteractions } from './interactions.ts';
import { acceptJsonBodies } from './json-bodies.ts';
import type { Limits } from './limits.ts';
import { logAnswers } from './log-answers.ts';
import { routeLog } from './log-page.ts';
import { describeError } from './logged-error.ts';
import { routeLogout } from './logout.ts';
import { createOrganizations } from './organizations.ts';
import { createPostLogin } from './post-login.ts';
import { recordTransactions } from './record-transactions.ts';
import { routeRedirects } from './redirects.ts';
import { refuseUnreadableTarget } from './request-target.ts';
import { securityHeaders } from './security-headers.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { StateStore } from './state-store.ts';
import type { Tenant } from './tenant.ts';
import type { TokenClock } from './token-clock.ts';
import { logTransactions } from './transaction-log.ts';
import type { Transactions } from './transactions.ts';
import { addUserinfoClaims } from './userinfo-claims.ts';
import { createUsers } from './users.ts';
import { answerByWebMessage } from './web-message.ts';
import { routeWelcome } from './welcome.ts';

export interface AppParts {
  readonly issuer: string;
  readonly tenant: Tenant;
  readonly keys: SigningKeys;
  readonly store: StateStore;
  readonly limits: Limits;
  /** What the Actions of each trigger keep for each other. */
  readonly caches: Readonly<Record<'postLogin' | 'credentialsExchange', ActionCache>>;
  readonly clock: TokenClock;
  readonly log: Logger;
  readonly faults: Faults;
  readonly transactions: Transactions;
  /** Whether `/log` shows the transactions. */
  readonly showLog: boolean;
}

/** The whole server: the engine is a Koa application, and what is `use`d here runs before it. */
export function createApp(parts: AppParts): Engine {
  const { issuer, tenant, keys, store, limits, caches, clock, faults, transactions, showLog } =
    parts;
  const log = parts.log.child({}, { serializers: { err: describeError } });
  const users = createUsers(tenant, store);
  const consents = createConsents(store);
  const organizations = createOrganizations(tenant, store);
  const postLogin = createPostLogin(tenant, store, log, organizations, caches.postLogin);
  const credentialsExchange = createCredentialsExchange(tenant, log, caches.credentialsExchange);
  const sendsIss = tenant.tenant.flags.authorization_response_iss_parameter_supported === true;
  const provider = new (sendsIss ? Provider : ProviderWithoutIss)(
    issuer,
    engineConfiguration({
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
    }),
  );
  // Not to trust a proxy, but to take the scheme that onIssuerOrigin writes.
  provider.proxy = true;

  openIdToken(provider, postLogin, organizations, clock);
  sendLogoutTokensAnywhere(provider);
  organizations.keepFrom(provider);
  openAccessTokenScope(provider, postLogin);
  speakAuth0Errors(provider);
  logTransactions(provider, log);
  const recorder = recordTransactions(provider, transactions, { tenant, users, postLogin });

  const pages = new Router();
  routeWelcome(pages, tenant.tenant.friendly_name);
  routeAssets(pages);
  const identityProviders = createIdentityProviders({ issuer });
  const sendToProvider = routeFederation(pages, {
    provider,
    tenant,
    users,
    store,
    identityProviders,
    transactions,
    log,
  });
  routeInteractions(pages, {
    provider,
    tenant,
    users,
    consents,
    attempts: limits.attempts,
    sendToProvider,
    log,
  });
  routeRedirects(pages, { provider, store });
  routeLogout(pages, { provider, tenant, log });
  const tenantName = tenant.tenant.friendly_name;
  if (showLog) routeLog(pages, { issuer, tenantName, transactions });

  provider.use(onIssuerOrigin(issuer));
  provider.use(securityHeaders());
  provider.use(recorder.middleware);
  provider.use(logAnswers(log));
  provider.use(allowOriginOfRefusals(tenant));
  provider.use(injectFaults(faults, recorder.noteFault));
  provider.use(answerErrors(tenant.tenant.friendly_name, log));
  provider.use(refuseUnreadableTarget());
  if (!sendsIss) provider.use(withoutIssInMetadata());
  if (limits.tokenRequests !== undefined) provider.use(limits.tokenRequests);
  provider.use(answerByWebMessage(provider));
  provider.use(acceptJsonBodies());
  provider.use(addUserinfoClaims(postLogin));
  provider.use(afterEachLogin(postLogin.keep));
  provider.use(pages.routes());
  return provider;
}
