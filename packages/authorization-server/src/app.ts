import Router from '@koa/router';
import {
  describeError,
  rejectMalformedTarget,
  type SecurityHeadersOptions,
  securityHeaders,
} from '@koa-oauth/service';
import type { Provider as Engine } from 'oidc-provider';
import type { Logger } from 'pino';
import type { ActionCache } from './actions/cache.ts';
import { credentialsExchange } from './actions/credentials-exchange.ts';
import { PostLogin, storeOutcome } from './actions/post-login.ts';
import { redirectRoutes } from './actions/redirects.ts';
import { Organizations } from './claims/organizations.ts';
import { engineConfiguration } from './configuration.ts';
import type { Faults } from './control/faults.ts';
import { injectFaults } from './control/inject-faults.ts';
import { routeAssets, routeWelcome } from './http/assets.ts';
import { answerErrors } from './http/error-page.ts';
import { onIssuerOrigin } from './http/issuer-origin.ts';
import type { Limits } from './http/limits.ts';
import type { SigningKeys } from './keys/signing-keys.ts';
import { logAnswers } from './log/log-answers.ts';
import { recordTransactions } from './log/record.ts';
import { logTransactions } from './log/transaction-log.ts';
import type { Transactions } from './log/transactions.ts';
import { routeLog } from './log-page.ts';
import { sendLogoutTokensAnywhere } from './login/backchannel-logout.ts';
import { createConsents } from './login/consents.ts';
import { routeFederation } from './login/federation.ts';
import { createIdentityProviders } from './login/identity-providers.ts';
import { routeInteractions } from './login/interactions.ts';
import { routeLogout } from './login/logout.ts';
import { answerByWebMessage } from './login/web-message.ts';
import { Provider } from './oidc-provider.ts';
import type { StateStore } from './state/file.ts';
import type { Tenant } from './tenant/tenant.ts';
import { createUsers } from './tenant/users.ts';
import { openAccessTokenScope } from './token/access-token.ts';
import type { TokenClock } from './token/clock.ts';
import { allowOriginOfRefusals } from './token/cross-origin.ts';
import { speakAuth0Errors } from './token/errors.ts';
import { addUserinfoClaims, openIdToken } from './token/id-token.ts';
import { ProviderWithoutIss, withoutIssInMetadata } from './token/iss.ts';
import { acceptJsonBodies } from './token/json-bodies.ts';

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

/** Answers load this server's own stylesheet and images and nothing else. */
const SECURITY_HEADERS: SecurityHeadersOptions = {
  directives: {
    imgSrc: ["'self'", 'data:'],
    styleSrc: ["'self'"],
    // No page here has a script; the engine's form_post answer adds the hash of its own.
    scriptSrc: ["'self'"],
    // No form-action: Chromium applies it to the redirects after a form as well, and the login
    // form ends, redirect by redirect, at the application's callback on another origin.
  },
  // On a loopback address http is right, and a rule that a browser stores would outlive the test.
  strictTransportSecurity: false,
  // Would forbid web applications to read the metadata, the keys and the token endpoint.
  crossOriginResourcePolicy: false,
};

/** The whole server: the engine is a Koa application, and what is `use`d here runs before it. */
export function createApp(parts: AppParts): Engine {
  const { issuer, tenant, keys, store, limits, clock, faults, transactions, showLog } = parts;
  const log = parts.log.child({}, { serializers: { err: describeError } });
  const users = createUsers(tenant, store);
  const consents = createConsents(store);
  const organizations = new Organizations(parts);
  const postLogin = new PostLogin({ ...parts, log, organizations });
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
      credentialsExchange: credentialsExchange({ ...parts, log }),
    }),
  );
  // Not to trust a proxy, but to take the scheme that onIssuerOrigin writes.
  provider.proxy = true;

  openIdToken(provider, organizations, clock);
  sendLogoutTokensAnywhere(provider);
  organizations.storeFrom(provider);
  openAccessTokenScope(provider);
  speakAuth0Errors(provider);
  logTransactions(provider, log);
  const recorder = recordTransactions(provider, transactions, { tenant, users });

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
  routeLogout(pages, { provider, tenant, log });
  const tenantName = tenant.tenant.friendly_name;
  if (showLog) routeLog(pages, { issuer, tenantName, transactions });

  provider.use(onIssuerOrigin(issuer));
  provider.use(securityHeaders(SECURITY_HEADERS));
  provider.use(recorder.middleware);
  provider.use(logAnswers(log));
  provider.use(allowOriginOfRefusals(tenant));
  provider.use(injectFaults(faults, recorder.noteFault));
  provider.use(answerErrors(tenant.tenant.friendly_name, log));
  provider.use(rejectMalformedTarget());
  if (!sendsIss) provider.use(withoutIssInMetadata());
  if (limits.tokenRequests !== undefined) provider.use(limits.tokenRequests);
  provider.use(answerByWebMessage(provider));
  provider.use(acceptJsonBodies());
  provider.use(addUserinfoClaims());
  provider.use(storeOutcome(postLogin));
  provider.use(redirectRoutes({ provider, store }).routes());
  provider.use(pages.routes());
  return provider;
}
