import Router from '@koa/router';
import type { Provider as Engine } from 'oidc-provider';
import type { Logger } from 'pino';
import { openAccessTokenScope } from './access-token-scope.ts';
import { routeAssets } from './assets.ts';
import {
  afterEachLogin,
  onIssuerOrigin,
  speakAuth0Errors,
  withoutIssParameter,
} from './auth0-dialect.ts';
import { engineConfiguration } from './configuration.ts';
import { createConsents } from './consents.ts';
import { createCredentialsExchange } from './credentials-exchange.ts';
import { Provider } from './engine.ts';
import { answerErrors } from './error-page.ts';
import type { Faults } from './faults.ts';
import { openIdToken } from './id-token.ts';
import { injectFaults } from './inject-faults.ts';
import { routeInteractions } from './interactions.ts';
import { acceptJsonBodies } from './json-bodies.ts';
import { routeLog } from './log-page.ts';
import { describeError } from './logged-error.ts';
import { routeLogout } from './logout.ts';
import { createOrganizations } from './organizations.ts';
import { createPostLogin } from './post-login.ts';
import { recordTransactions } from './record-transactions.ts';
import { refuseUnreadableTarget } from './request-target.ts';
import { securityHeaders } from './security-headers.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { StateStore } from './state-store.ts';
import type { Tenant } from './tenant.ts';
import { tokenRateLimit } from './token-rate-limit.ts';
import { logTransactions } from './transaction-log.ts';
import type { Transactions } from './transactions.ts';
import { addUserinfoClaims } from './userinfo-claims.ts';
import { routeWelcome } from './welcome.ts';

interface AppParts {
  readonly issuer: string;
  readonly tenant: Tenant;
  readonly keys: SigningKeys;
  readonly store: StateStore;
  readonly log: Logger;
  readonly faults: Faults;
  readonly transactions: Transactions;
  /** Whether `/log` shows the transactions. */
  readonly showLog: boolean;
}

/** The whole server: the engine is a Koa application, and what is `use`d here runs before it. */
export function createApp(parts: AppParts): Engine {
  const { issuer, tenant, keys, store, log: parentLog, faults, transactions, showLog } = parts;
  const log = parentLog.child({}, { serializers: { err: describeError } });
  const consents = createConsents(store);
  const organizations = createOrganizations(tenant, store);
  const postLogin = createPostLogin(tenant, store, log, organizations);
  const credentialsExchange = createCredentialsExchange(tenant, log);
  const provider = new Provider(
    issuer,
    engineConfiguration({
      issuer,
      tenant,
      keys,
      store,
      consents,
      organizations,
      postLogin,
      credentialsExchange,
    }),
  );
  // Not to trust a proxy, but to take the scheme that onIssuerOrigin writes.
  provider.proxy = true;

  openIdToken(provider, postLogin, organizations);
  organizations.keepFrom(provider);
  openAccessTokenScope(provider, postLogin);
  speakAuth0Errors(provider);
  logTransactions(provider, log);
  const recorder = recordTransactions(provider, transactions, { tenant, postLogin });

  const pages = new Router();
  routeWelcome(pages, tenant.tenant.friendly_name);
  routeAssets(pages);
  routeInteractions(pages, { provider, tenant, consents, log });
  routeLogout(pages, provider, tenant);
  if (showLog) routeLog(pages, tenant.tenant.friendly_name, transactions);

  provider.use(onIssuerOrigin(issuer));
  provider.use(securityHeaders());
  provider.use(recorder.middleware);
  provider.use(injectFaults(faults, recorder.noteFault));
  provider.use(answerErrors(tenant.tenant.friendly_name, log));
  provider.use(refuseUnreadableTarget());
  if (tenant.tenant.flags.authorization_response_iss_parameter_supported !== true) {
    provider.use(withoutIssParameter(provider));
  }
  const { token: tokenLimit } = tenant.rate_limits;
  if (tokenLimit !== undefined) provider.use(tokenRateLimit(tokenLimit));
  provider.use(acceptJsonBodies());
  provider.use(addUserinfoClaims(postLogin));
  provider.use(afterEachLogin(postLogin.keep));
  provider.use(pages.routes());
  return provider;
}
