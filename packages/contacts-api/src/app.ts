import { STATUS_CODES } from 'node:http';
import cors from '@koa/cors';
import {
  auth,
  createIssuer,
  type DpopOptions,
  type ExpiringSet,
  type IntrospectionOptions,
  type Issuer,
  PROTECTED_RESOURCE_METADATA_PATH,
  protectedResourceMetadata,
  protectedResourceMetadataURL,
  type Revocations,
  revocations,
  type SignInOptions,
} from '@koa-oauth/resource-server';
import {
  describeError,
  logBrokenAnswers,
  parseURL,
  rejectMalformedTarget,
  requestLog,
  securityHeaders,
} from '@koa-oauth/service';
import Koa, { type Context, type Middleware } from 'koa';
import type { Kysely } from 'kysely';
import type { Logger } from 'pino';
import { ContactsClaims, organizationsOf, verifyWithKoaJwt } from './access-token.ts';
import type { FieldError } from './errors.ts';
import { docsRoutes } from './http/docs.ts';
import type { Metrics } from './http/metrics.ts';
import type { RateLimits } from './http/rate-limits.ts';
import { operationRoutes } from './http/router.ts';
import { type Operation, SCOPES } from './operation.ts';
import { activityOperation, type ContactParts, contactOperations } from './routes/contacts.ts';
import {
  healthOperations,
  logoutOperation,
  me,
  protectedResourceOperation,
} from './routes/service.ts';
import { ContactStore } from './store/contact-store.ts';
import { ping } from './store/database.ts';
import type { Tables } from './store/schema.ts';

export interface AppOptions {
  /** Issuer that owns the contacts whose key names none; `/docs` signs in there. */
  readonly issuerBaseURL: string;
  /** Issuers whose tokens are accepted too. */
  readonly otherIssuers?: readonly string[];
  readonly audience: string;
  readonly claimsNamespace: string;
  readonly baseURL: string;
  /** Public client that signs in from `/docs`. Without it the page has no sign-in. */
  readonly docsClientId?: string | undefined;
  /** Origins whose pages may call the API. Without any, no answer has CORS headers. */
  readonly corsOrigins: readonly string[];
  /** True behind a proxy of ours that writes `X-Forwarded-*`. */
  readonly trustProxy: boolean;
  readonly database: Kysely<Tables>;
  /** Maximum contacts of an organization. Default: no maximum */
  readonly maxContacts?: number;
  readonly limits: RateLimits;
  /** Used proofs. Default: in memory */
  readonly usedProofs?: ExpiringSet | undefined;
  /** Revoked tokens. Default: in memory */
  readonly revokedTokens?: ExpiringSet | undefined;
  /** Options for tokens that are bound to a key. Default: such tokens are allowed */
  readonly dpop?: Omit<DpopOptions, 'baseURL' | 'store'>;
  /** Applications whose logout tokens end access tokens. Default: none */
  readonly logoutClientIds?: readonly string[] | undefined;
  /** The sign-in that deleting a contact and reading the activity need. Default: any */
  readonly stepUp?: SignInOptions | undefined;
  /** The API as a client of the issuer that `issuerBaseURL` names. Without it opaque tokens are refused. */
  readonly introspection?: IntrospectionOptions | undefined;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
  /** Makes spans of requests. Default: there are none */
  readonly traceRequests?: Middleware | undefined;
}

export interface App {
  readonly koa: Koa;
  /** All operations; the routes and the OpenAPI document are made from them. */
  readonly operations: readonly Operation[];
  /** Makes `/readyz` answer 503 from now on, so that a load balancer sends no more requests. */
  markStopping(): void;
}

/** Makes the API: its operations, and the middleware before them in order. */
export function createApp(options: AppOptions): App {
  const { issuerBaseURL, claimsNamespace, baseURL, corsOrigins, limits, metrics } = options;
  const logger = options.logger.child({}, { serializers: { err: describeError } });
  const access = createAccess(options);
  let stopping = false;
  const operations = createOperations(options, access, () => stopping);
  const routes = operationRoutes(operations, {
    auth: verifyTokens(options, access),
    limitSubjects: limits.limitSubjects(),
    rolesClaim: `${claimsNamespace}roles`,
  });
  routes.options(PROTECTED_RESOURCE_METADATA_PATH, access.metadata);
  const { docsClientId, otherIssuers = [], audience } = options;
  const client = docsClientId ? { clientId: docsClientId, issuer: access.issuers[0] } : undefined;
  const issuers = [issuerBaseURL, ...otherIssuers];
  const docs = docsRoutes({ operations, baseURL, issuers, audience, dpop: access.dpop, client });

  // The proxy appends the address it saw; the caller may have written the addresses before that.
  const koa = new Koa({ proxy: options.trustProxy, maxIpsCount: 1 });
  koa.on('error', logBrokenAnswers(logger));
  koa.use(requestLog({ logger, continueTrace: true }));
  if (metrics) koa.use(metrics.measureRequests);
  if (options.traceRequests) koa.use(options.traceRequests);
  // The log and the metrics need the status of the answer to an error.
  koa.use(problemDetails());
  // Middleware from here on may throw, and may read the path.
  koa.use(rejectMalformedTarget());
  koa.use(apiHeaders(baseURL, client ? [new URL(issuerBaseURL).origin] : []));
  // A page must be able to read a 401 or 429 of the middleware below.
  if (corsOrigins.length > 0) koa.use(allowOrigins(corsOrigins));
  koa.use(limits.limitRefused());
  if (access.metadataURL) koa.use(metadataPath(access.metadataURL.pathname));
  koa.use(docs.routes());
  koa.use(routes.routes()).use(routes.allowedMethods());
  return {
    koa,
    operations,
    markStopping() {
      stopping = true;
    },
  };
}

/** Parts that decide who may call the API. */
interface Access {
  /** The first owns the contacts whose key names none. */
  readonly issuers: readonly [Issuer, ...Issuer[]];
  readonly revoked: Revocations;
  readonly dpop: Omit<DpopOptions, 'baseURL'>;
  /** Handler that answers with the metadata of the protected resource (RFC 9728). */
  readonly metadata: Middleware;
  /** Address of the metadata below the identifier; undefined if the identifier is no web address. */
  readonly metadataURL: URL | undefined;
}

function createAccess(options: AppOptions): Access {
  const { issuerBaseURL, otherIssuers = [], audience, claimsNamespace, baseURL } = options;
  const dpop = { ...options.dpop, store: options.usedProofs };
  const others = otherIssuers.map((other) => createIssuer({ issuerBaseURL: other }));
  const issuers = [createIssuer({ issuerBaseURL }), ...others] as const;
  return {
    issuers,
    // At Auth0 access tokens have no `sid`, and an Action can only set a claim of another name.
    revoked: revocations({
      store: options.revokedTokens,
      sessionClaim: `${claimsNamespace}sid`,
    }),
    dpop,
    metadata: protectedResourceMetadata({
      resource: audience,
      authorizationServers: issuers,
      scopesSupported: Object.keys(SCOPES),
      resourceName: 'Contacts',
      resourceDocumentation: `${baseURL}/docs`,
      dpop,
    }),
    metadataURL: /^https?:$/.test(parseURL(audience)?.protocol ?? '')
      ? new URL(protectedResourceMetadataURL(audience))
      : undefined,
  };
}

function createOperations(
  options: AppOptions,
  { issuers, revoked, metadata }: Access,
  isStopping: () => boolean,
): Operation[] {
  const { issuerBaseURL, baseURL, database, stepUp, logoutClientIds = [] } = options;
  const parts: ContactParts = {
    store: new ContactStore(database, options),
    organizationOf: organizationsOf(issuerBaseURL),
    // A proxy can remove a path that all public addresses begin with.
    basePath: new URL(baseURL).pathname.replace(/\/$/, ''),
    signIn: stepUp,
  };
  // While one issuer is down, the API still serves the users of the others.
  const anyIssuer = () =>
    Promise.any(issuers.map((each) => each.ready())).catch(({ errors: [first] }) => {
      throw first;
    });
  const checkParts = () => Promise.all([ping(database), anyIssuer()]);
  return [
    me,
    ...contactOperations(parts),
    activityOperation(parts),
    ...healthOperations(checkParts, isStopping),
    protectedResourceOperation(metadata),
    ...(logoutClientIds.length > 0
      ? [logoutOperation(revoked.backChannelLogout({ issuer: issuers, clientID: logoutClientIds }))]
      : []),
  ];
}

function verifyTokens(options: AppOptions, access: Access): Middleware {
  const { issuers, revoked, dpop, metadataURL } = access;
  const { audience, claimsNamespace, baseURL, metrics } = options;
  // RFC 9728 §3.3: clients use the metadata only if its address fits the identifier in it.
  const isAtBase = metadataURL?.origin === new URL(baseURL).origin;
  return auth({
    issuers: issuers.map((issuer, index) => ({
      issuer,
      introspection: index === 0 ? options.introspection : undefined,
    })),
    audience,
    claims: { namespace: claimsNamespace, schema: ContactsClaims },
    // The router requires a token, because it knows the scope for the challenge.
    authRequired: false,
    realm: 'contacts',
    isRevoked: revoked.isRevoked,
    verifySignature: verifyWithKoaJwt,
    dpop: { ...dpop, baseURL },
    resourceMetadata: isAtBase ? metadataURL.href : `${baseURL}${PROTECTED_RESOURCE_METADATA_PATH}`,
    // The request log has each refusal, so `auth` need not print it.
    onEvent: metrics?.countToken ?? (() => {}),
  });
}

function allowOrigins(origins: readonly string[]): Middleware {
  return cors({
    origin: (ctx) => origins.find((origin) => origin === ctx.get('Origin')) ?? '',
    exposeHeaders:
      'DPoP-Nonce,ETag,Link,Location,RateLimit,RateLimit-Policy,Retry-After,WWW-Authenticate,X-Request-Id',
    maxAge: 600,
  });
}

interface Failure {
  readonly status?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly expose?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly errors?: readonly FieldError[];
  readonly detail?: unknown;
  readonly reason?: unknown;
}

/**
 * Answers every error as `application/problem+json` (RFC 9457), with the error's own status and
 * headers. The message is shown only when the error sets `expose`; any other error is a bare 500. The
 * rest goes to `ctx.state.failure`, for the log.
 */
export function problemDetails(): Middleware {
  return async function problemDetails(ctx, next) {
    try {
      await next();
      if (ctx.status >= 400 && ctx.body == null) respond(ctx, { status: ctx.status });
    } catch (error) {
      const failure = (typeof error === 'object' && error !== null ? error : {}) as Failure;
      const { expose, code, reason, detail } = failure;
      // Any other error may hold secrets: the `detail` of a database holds the row.
      const isPublic = expose === true;
      respond(ctx, isPublic ? failure : { status: 500 });
      ctx.state.failure = isPublic ? { code, reason, detail } : { code, err: error };
    }
  };
}

function respond(ctx: Context, failure: Failure): void {
  const { status: given, code, message, headers, errors } = failure;
  const isError = typeof given === 'number' && given >= 400 && given in STATUS_CODES;
  const status = isError ? given : 500;
  ctx.status = status;
  if (headers) ctx.set({ ...headers });
  ctx.body = JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: message,
    code,
    errors,
    requestId: ctx.state.requestId,
  });
  ctx.type = 'application/problem+json';
  ctx.set('Cache-Control', 'no-store');
}

/** Serves the metadata also where clients look for it that know only the identifier (RFC 9728 §3.1). */
function metadataPath(path: string): Middleware {
  return async function metadataPath(ctx, next) {
    if (ctx.path === path) ctx.path = PROTECTED_RESOURCE_METADATA_PATH;
    await next();
  };
}

/** Sets the security headers. The page `/docs` alone may run scripts, call this API, and sign in. */
function apiHeaders(baseURL: string, signInOrigins: readonly string[]): Middleware {
  const headersFor = (directives: Record<string, string[]>) =>
    securityHeaders({
      directives: { formAction: ["'none'"], ...directives },
      strictTransportSecurity: baseURL.startsWith('https:'),
    });
  const apiOnly = headersFor({});
  const docsPage = headersFor({
    scriptSrc: ["'self'"],
    // The viewer writes its styles into the page.
    styleSrc: ["'unsafe-inline'"],
    imgSrc: ['data:'],
    connectSrc: ["'self'", ...signInOrigins],
  });
  return async function apiHeaders(ctx, next) {
    await (/^\/docs(?:\/|$)/.test(ctx.path) ? docsPage : apiOnly)(ctx, next);
  };
}
