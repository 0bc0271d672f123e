import cors from '@koa/cors';
import { auth, createIssuer, PROTECTED_RESOURCE_METADATA_PATH } from '@koa-oauth/resource-server';
import {
  describeError,
  rejectMalformedTarget,
  requestLog,
  securityHeaders,
} from '@koa-oauth/service';
import Koa, { type Middleware } from 'koa';
import type { Kysely } from 'kysely';
import type { Logger } from 'pino';
import { ContactsClaims } from './caller.ts';
import { ApiError } from './errors.ts';
import { verifyWithKoaJwt } from './http/koa-jwt-signature.ts';
import type { Metrics } from './http/metrics.ts';
import { docsRoutes } from './http/openapi.ts';
import { problemDetails } from './http/problem-details.ts';
import type { RateLimits } from './http/rate-limits.ts';
import { operationRoutes } from './http/router.ts';
import { type Operation, SCOPES } from './operation.ts';
import { activityOperation, contactOperations } from './routes/contacts.ts';
import { healthOperations, me, protectedResourceOperation } from './routes/service.ts';
import { ContactStore } from './store/contact-store.ts';
import { ping } from './store/database.ts';
import type { Tables } from './store/schema.ts';

export interface AppOptions {
  readonly issuerBaseURL: string;
  readonly audience: string;
  readonly claimsNamespace: string;
  readonly baseURL: string;
  /** Origins whose pages may call the API; none: no CORS headers at all. */
  readonly corsOrigins: readonly string[];
  /** Whether `X-Forwarded-*` can be believed, because our own proxy writes it. */
  readonly trustProxy: boolean;
  readonly database: Kysely<Tables>;
  readonly limits: RateLimits;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
}

export interface App {
  readonly koa: Koa;
  /** Every operation there is: what the routes and the OpenAPI document are made of. */
  readonly operations: readonly Operation[];
  /** From now on it says that it can't serve, so that no more requests are sent to it. */
  markStopping(): void;
}

/** The whole API on one page: what it does, and the order of what stands before it. */
export function createApp(options: AppOptions): App {
  const { issuerBaseURL, audience, claimsNamespace, baseURL, corsOrigins } = options;
  const { database, limits, metrics } = options;
  const logger = options.logger.child({}, { serializers: { err: describeError } });
  const issuer = createIssuer({ issuerBaseURL });
  const store = new ContactStore(database);

  let stopping = false;
  const checkReady = async () => {
    if (stopping) throw new ApiError('ERR_NOT_READY');
    await Promise.all([ping(database), issuer.ready()]);
  };

  const operations = [
    me,
    ...contactOperations(store),
    activityOperation(store),
    ...healthOperations(checkReady),
    protectedResourceOperation({
      resource: audience,
      authorizationServers: [issuer],
      scopesSupported: Object.keys(SCOPES),
      resourceName: 'Contacts',
    }),
  ];
  const routes = operationRoutes(operations, {
    auth: auth({
      issuer,
      audience,
      claims: { namespace: claimsNamespace, schema: ContactsClaims },
      realm: 'contacts',
      verifySignature: verifyWithKoaJwt,
      resourceMetadata: `${baseURL}${PROTECTED_RESOURCE_METADATA_PATH}`,
      onEvent: metrics?.countToken,
    }) as Middleware,
    limitSubjects: limits.limitSubjects(),
    rolesClaim: `${claimsNamespace}roles`,
  });
  const docs = docsRoutes({ operations, baseURL, issuerBaseURL, audience });

  // The proxy adds the address it saw at the end; what stands before that is what the caller wrote.
  const koa = new Koa({ proxy: options.trustProxy, maxIpsCount: 1 });
  koa.silent = true;
  koa.use(requestLog({ logger, continueTrace: true }));
  if (metrics) koa.use(metrics.measureRequests);
  koa.use(problemDetails());
  koa.use(rejectMalformedTarget());
  koa.use(apiHeaders(baseURL));
  if (corsOrigins.length > 0) koa.use(crossOrigin(corsOrigins));
  koa.use(limits.limitRefusedTokens());
  koa.use(docs.routes());
  koa.use(routes.routes()).use(routes.allowedMethods());
  return {
    koa,
    operations,
    markStopping: () => {
      stopping = true;
    },
  };
}

/** Security headers. The one page there is, `/docs`, may run its viewer and call this API. */
function apiHeaders(baseURL: string): Middleware {
  const headersFor = (directives: Record<string, string[]>) =>
    securityHeaders({
      directives: { formAction: ["'none'"], ...directives },
      strictTransportSecurity: baseURL.startsWith('https:'),
    });
  const api = headersFor({});
  const docs = headersFor({
    scriptSrc: ["'self'"],
    // The viewer writes its styles into the page.
    styleSrc: ["'unsafe-inline'"],
    imgSrc: ['data:'],
    connectSrc: ["'self'"],
  });
  return async function apiHeaders(ctx, next) {
    await (/^\/docs(?:\/|$)/.test(ctx.path) ? docs : api)(ctx, next);
  };
}

function crossOrigin(origins: readonly string[]): Middleware {
  return cors({
    origin: (ctx) => {
      const origin = ctx.get('Origin');
      return origins.includes(origin) ? origin : '';
    },
    exposeHeaders:
      'ETag,Link,Location,RateLimit,RateLimit-Policy,Retry-After,WWW-Authenticate,X-Request-Id',
    maxAge: 600,
  });
}
