import {
  rejectMalformedTarget,
  type SecurityHeadersOptions,
  securityHeaders,
} from '@koa-oauth/service';
import type { Middleware } from 'koa';
import type { Provider as Engine } from 'oidc-provider';
import { storeOutcome } from './actions/login-outcome.ts';
import { redirectRoutes } from './actions/redirects.ts';
import { engineConfiguration } from './configuration.ts';
import { type AppContext, type AppParts, createContext, type PageContext } from './context.ts';
import { injectFaults } from './control/inject-faults.ts';
import {
  allowOriginOfRefusals,
  at,
  CROSS_ORIGIN_PATHS,
  issuerOrigin,
  METADATA_PATHS,
  ROUTES,
} from './endpoints.ts';
import { postedRequests } from './http/posted-requests.ts';
import { logRoutes } from './log/log-page.tsx';
import { Recorder, recordTransaction } from './log/recorder.ts';
import { moveUserCode } from './login/device.tsx';
import { Federation, federationRoutes } from './login/federation.ts';
import { interactionRoutes } from './login/interactions.ts';
import { logoutRoutes } from './login/logout.tsx';
import { secondStepRoutes } from './login/second-step.tsx';
import { registerWebMessage, WEB_MESSAGE } from './login/web-message.tsx';
import { Provider, patchEngine, patchIss, patchMetadata } from './oidc-provider.ts';
import type { StateStore } from './state/memory.ts';
import { allowedLogoutTarget } from './tenant/allowed-urls.ts';
import { matchesCallback } from './tenant/applications.ts';
import { findApplication, type Tenant } from './tenant/tenant.ts';
import { bindsTokens } from './token/audience.ts';
import { answerRefusals } from './token/errors.ts';
import { jsonBodies } from './token/json-bodies.ts';
import { chooseApi, chosenResource } from './token/multi-resource.ts';
import { accessTokenScope, idTokenClaims, userinfoClaims } from './token/token-claims.ts';
import { answerErrors } from './views/error-page.tsx';
import { assetRoutes } from './views/layout.tsx';
import { welcomeRoutes } from './views/welcome-page.tsx';

/** Allows this server's own stylesheet and images only. */
const SECURITY_HEADERS: SecurityHeadersOptions = {
  directives: {
    imgSrc: ["'self'", 'data:'],
    styleSrc: ["'self'"],
    // The engine's form_post answer adds the hash of its inline script.
    scriptSrc: ["'self'"],
    // No form-action: Chromium applies it to the redirects after a form too, and those after the
    // login form lead to the application's origin.
  },
  // A browser would store it longer than a test, and refuse http on this host.
  strictTransportSecurity: false,
  // It would prevent web applications from reading the metadata, the keys and the token endpoint.
  crossOriginResourcePolicy: false,
};

/** Creates the server: the engine, a Koa application, with steps before its own routes. */
export function createApp(parts: AppParts): Engine {
  const context = createContext(parts);
  const { issuer, tenant, tenantName, limits, faults, outcomes, log } = context;
  const provider = createEngine(context);
  const recorder = new Recorder(context);
  recorder.listenTo(provider);

  const steps: readonly (Middleware | undefined)[] = [
    // First: it sets the address of the request to the issuer's, which all others read.
    issuerOrigin(issuer),
    // Before the steps that can answer: refusals need these headers too.
    securityHeaders(SECURITY_HEADERS),
    // Around the steps that change the answer: it records what the client gets.
    recordTransaction(recorder),
    // Around the steps that refuse: a web application must be able to read their answers.
    at(CROSS_ORIGIN_PATHS, allowOriginOfRefusals(tenant)),
    // Around the answers to errors: a fault may change these as well.
    injectFaults(faults, (ctx, fault) => recorder.faultInjected(ctx, fault)),
    // Around the steps that can throw.
    answerErrors(tenantName, log),
    // Before the steps that read `ctx.path`: for a malformed target it throws.
    rejectMalformedTarget(),
    // Before any work for a token request.
    limits.tokenRequests,
    // Before the steps that write.
    waitForState(context.store),
    // Before the engine, which reads the body itself, and only as a form.
    at([ROUTES.token, ROUTES.revocation, ROUTES.device_authorization], jsonBodies()),
    // Before the engine, which posts a code in a link by a script.
    at([ROUTES.code_verification], moveUserCode()),
    // Before the engine, which has no POST there.
    at([ROUTES.authorization, ROUTES.end_session], postedRequests(context, provider)),
    // Around the engine: they complete its metadata and claims.
    at(METADATA_PATHS, patchMetadata(metadataFacts(tenant))),
    at([ROUTES.userinfo], userinfoClaims()),
    // Around the engine: only its answer shows whether the login succeeded.
    storeOutcome(outcomes),
    // Last before the engine: the pages that it does not have.
    ...pageRoutes({ ...context, provider }),
  ];
  for (const step of steps) if (step !== undefined) provider.use(step);
  return provider;
}

function createEngine(context: AppContext): Engine {
  const { issuer, tenant, organizations, clock, isListening } = context;
  const EngineClass = sendsIss(tenant) ? Provider : patchIss(Provider);
  const provider = new EngineClass(issuer, engineConfiguration(context));
  patchEngine(provider, {
    idTokenClaims: idTokenClaims(context),
    accessTokenScope,
    bindsTokens: (audience) =>
      bindsTokens(tenant.resourceServers.find(({ identifier }) => identifier === audience)),
    clock,
    isListening,
    refreshRequested: (ctx) => chooseApi(context, ctx),
    chosenResource,
    isCallback: (clientId, url, organization) => {
      const application = findApplication(tenant, clientId);
      return application !== undefined && matchesCallback(tenant, application, url, organization);
    },
    logoutReceivers: (clientId) =>
      findApplication(tenant, clientId)?.oidc_logout?.backchannel_logout_urls ?? [],
    isLogoutUrl: (clientId, url) => {
      const allowed = findApplication(tenant, clientId)?.allowed_logout_urls ?? [];
      return allowedLogoutTarget(allowed, url, { compareQuery: true }) !== undefined;
    },
  });
  provider.on('authorization.success', (ctx) => organizations.storeFor(ctx));
  answerRefusals(provider);
  registerWebMessage(provider);
  return provider;
}

/** Waits for another process that writes to the state, unless metadata or keys are requested. */
function waitForState(store: StateStore): Middleware {
  return async function waitForState(ctx, next) {
    if (!ctx.path.startsWith('/.well-known/')) await store.whenFree();
    await next();
  };
}

function pageRoutes(context: PageContext): Middleware[] {
  const federation = new Federation(context);
  const routers = [
    welcomeRoutes(context),
    assetRoutes(),
    federationRoutes(federation),
    interactionRoutes({ ...context, federation }),
    redirectRoutes(context),
    secondStepRoutes(context),
    logoutRoutes(context),
    ...(context.showLog ? [logRoutes(context)] : []),
  ];
  return routers.map((router) => router.routes() as Middleware);
}

function metadataFacts(tenant: Tenant) {
  const { rp_logout_end_session_endpoint_discovery: announcesLogout = true } =
    tenant.tenant.oidc_logout ?? {};
  return { responseMode: WEB_MESSAGE, sendsIss: sendsIss(tenant), announcesLogout };
}

/** Checks the tenant's flag for RFC 9207; Auth0's default is off. */
function sendsIss({ tenant }: Tenant): boolean {
  return tenant.flags.authorization_response_iss_parameter_supported === true;
}
