import { METHODS } from 'node:http';
import Router from '@koa/router';
import { auth, requiresAuth, type SessionStore } from '@koa-oauth/client';
import Koa, { type Middleware } from 'koa';
import type { Logger } from 'pino';
import { assets } from './assets.ts';
import { errorPage } from './error-page.ts';
import { describeError } from './logged-error.ts';
import { requestLog } from './request-log.ts';
import { refuseUnreadableTarget } from './request-target.ts';
import { addContactRoute, contactsRoute } from './routes/contacts.ts';
import { healthRoute } from './routes/health.ts';
import { homeRoute } from './routes/home.ts';
import { logoutRoute } from './routes/logout.ts';
import { securityHeaders } from './security-headers.ts';
import type { ClientAuthMethod } from './settings.ts';

interface AppOptions {
  /** The app's own address, without a slash at its end. */
  baseURL: string;
  issuerBaseURL: string;
  clientID: string;
  clientSecret: string;
  clientAuthMethod: ClientAuthMethod;
  apiBaseURL: string;
  audience: string;
  scope: string;
  /** Newest first. */
  secrets: readonly string[];
  store: SessionStore;
  logger: Logger;
}

/** The web app: its layers from the outside in, and every route. */
export function createApp(options: AppOptions): Koa {
  const { baseURL, issuerBaseURL, apiBaseURL, audience, scope } = options;
  const logger = options.logger.child({}, { serializers: { err: describeError } });

  // Every method is known here, so that a wrong one is a 405 and never a 501.
  const routes = new Router({ methods: METHODS })
    .get('/', homeRoute({ issuerBaseURL, apiBaseURL }))
    .get('/contacts', requiresAuth(), contactsRoute())
    .post('/contacts', requiresAuth(), ...addContactRoute())
    .get('/logout', logoutRoute())
    // What answers these stands before the router, which needs them for `Allow`.
    .get(['/login', '/callback', '/healthz'], answeredBefore)
    .post('/logout', answeredBefore);

  const app = new Koa();
  app.use(requestLog({ logger }));
  app.use(securityHeaders({ baseURL, issuerBaseURL }));
  app.use(errorPage());
  app.use(refuseUnreadableTarget());
  app.use(healthRoute());
  app.use(assets());
  app.use(
    auth({
      issuerBaseURL,
      baseURL,
      clientID: options.clientID,
      clientSecret: options.clientSecret,
      clientAuthMethod: options.clientAuthMethod,
      secret: options.secrets,
      authorizationParams: { scope, audience },
      session: { store: options.store },
      api: { baseURL: apiBaseURL },
      onWarning: (error) => logger.warn(describeWarning(error), error.message),
    }),
  );
  app.use(routes.routes());
  app.use(routes.allowedMethods());
  app.on('error', (error: Error) => logger.error({ err: error }, 'the answer broke off'));
  return app;
}

const answeredBefore: Middleware = (_ctx, next) => next();

// Field by field: of a foreign error, nothing else may reach the log.
function describeWarning(error: Error): { code?: unknown; detail?: unknown } {
  const { code, detail } = error as { code?: unknown; detail?: unknown };
  return { code, detail };
}
