import cors from '@koa/cors';
import { auth, createIssuer, PROTECTED_RESOURCE_METADATA_PATH } from '@koa-oauth/resource-server';
import Koa, { type Middleware } from 'koa';
import type { Kysely } from 'kysely';
import type { Logger } from 'pino';
import { ContactsClaims } from './claims.ts';
import { docsRouter } from './docs.ts';
import { NotReady } from './errors.ts';
import type { countToken } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { type Operation, SCOPES } from './operation.ts';
import { problemDetails } from './problem-details.ts';
import type { RateLimits } from './rate-limits.ts';
import { requestLog } from './request-log.ts';
import { requestTarget } from './request-target.ts';
import { operationsRouter } from './router.ts';
import { activityOperations } from './routes/activity.ts';
import { contactOperations } from './routes/contacts.ts';
import { healthOperations } from './routes/health.ts';
import { me } from './routes/me.ts';
import { protectedResourceOperation } from './routes/protected-resource.ts';
import { securityHeaders } from './security-headers.ts';
import { ActivityStore } from './store/activity-store.ts';
import { ContactStore } from './store/contact-store.ts';
import { ping } from './store/database.ts';
import type { Tables } from './store/tables.ts';

export interface AppOptions {
  readonly issuerBaseURL: string;
  readonly audience: string;
  readonly claimsNamespace: string;
  readonly baseURL: string;
  /** Origins whose pages may call the API; none: no CORS headers at all. */
  readonly corsOrigins: readonly string[];
  /** Whether `X-Forwarded-*` can be believed, since a proxy of ours writes it. */
  readonly trustProxy: boolean;
  readonly database: Kysely<Tables>;
  readonly limits: RateLimits;
  readonly logger: Logger;
  readonly metrics?: { measureRequests: Middleware; countToken: typeof countToken } | undefined;
}

export interface App {
  readonly koa: Koa;
  /** Every operation there is: what the routes and the OpenAPI document are made of. */
  readonly operations: readonly Operation[];
  /** From now on it says that it can't serve, so that nobody sends it more. */
  markStopping(): void;
}

/** The whole API on one page: what it does, and the order of what stands before it. */
export function createApp(options: AppOptions): App {
  const { issuerBaseURL, audience, claimsNamespace, baseURL, corsOrigins } = options;
  const { database, limits, logger, metrics } = options;
  const issuer = createIssuer({ issuerBaseURL });

  let stopping = false;
  const checkReady = async () => {
    if (stopping) throw new NotReady('the service is stopping');
    await Promise.all([ping(database), issuer.ready()]);
  };

  const operations = [
    me,
    ...contactOperations(new ContactStore(database)),
    ...activityOperations(new ActivityStore(database)),
    ...healthOperations(checkReady),
    protectedResourceOperation({
      resource: audience,
      authorizationServers: [issuer],
      scopesSupported: Object.keys(SCOPES),
      resourceName: 'Contacts',
    }),
  ];
  const routes = operationsRouter(operations, {
    needsToken: auth({
      issuer,
      audience,
      claims: { namespace: claimsNamespace, schema: ContactsClaims },
      realm: 'contacts',
      resourceMetadata: `${baseURL}${PROTECTED_RESOURCE_METADATA_PATH}`,
      onEvent: metrics?.countToken,
    }) as Middleware,
    behindToken: [limits.perSubject],
    rolesClaim: `${claimsNamespace}roles`,
  });
  const docs = docsRouter(openApiDocument({ operations, baseURL, issuerBaseURL, audience }));

  // The proxy adds the address it saw at the end; what stands before that is what the caller wrote.
  const koa = new Koa({ proxy: options.trustProxy, maxIpsCount: 1 });
  koa.silent = true;
  koa.use(requestLog({ logger }));
  if (metrics) koa.use(metrics.measureRequests);
  koa.use(problemDetails());
  koa.use(requestTarget);
  koa.use(securityHeaders({ baseURL }));
  if (corsOrigins.length > 0) koa.use(crossOrigin(corsOrigins));
  koa.use(limits.refusedPerAddress);
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
