import { METHODS } from 'node:http';
import Router from '@koa/router';
import { auth, requiresAuth, type SessionStore } from '@koa-oauth/client';
import Koa, { type Middleware } from 'koa';
import type { Logger } from 'pino';
import { assets } from './assets.ts';
import { logClientEvent } from './client-event-log.ts';
import { errorPage } from './error-page.ts';
import { describeError } from './logged-error.ts';
import { requestLog } from './request-log.ts';
import { refuseUnreadableTarget } from './request-target.ts';
import {
  changeContactRoute,
  confirmDeleteRoute,
  deleteContactRoute,
  editContactRoute,
} from './routes/contact.ts';
import { addContactRoute, contactsRoute } from './routes/contacts.ts';
import { healthRoute } from './routes/health.ts';
import { homeRoute } from './routes/home.ts';
import { logoutRoute } from './routes/logout.ts';
import { askForPermissionRoute } from './routes/permissions.ts';
import { endSessionRoute, refreshRoute, sessionRoute, tryRoute } from './routes/session.ts';
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
  /** Whether `/session` shows the flow and the tokens: in development only. */
  showTokens: boolean;
  logger: Logger;
}

/** The web app: its layers from the outside in, and every route. */
export function createApp(options: AppOptions): Koa {
  const { baseURL, issuerBaseURL, apiBaseURL, audience, scope, showTokens } = options;
  const logger = options.logger.child({}, { serializers: { err: describeError } });

  // Every method is known here, so that a wrong one is a 405 and never a 501.
  const routes = new Router({ methods: METHODS })
    .get('/', homeRoute({ issuerBaseURL, apiBaseURL }))
    .get('/contacts', requiresAuth(), contactsRoute())
    .post('/contacts', requiresAuth(), ...addContactRoute())
    .get('/contacts/:id/edit', requiresAuth(), editContactRoute())
    .post('/contacts/:id/edit', requiresAuth(), ...changeContactRoute())
    .get('/contacts/:id/delete', requiresAuth(), confirmDeleteRoute())
    .post('/contacts/:id/delete', requiresAuth(), ...deleteContactRoute())
    .post('/permissions', requiresAuth(), ...askForPermissionRoute())
    .get('/session', requiresAuth(), sessionRoute({ apiBaseURL, showTokens }))
    .post('/session/refresh', requiresAuth(), ...refreshRoute({ apiBaseURL, showTokens }))
    .post('/session/try', requiresAuth(), ...tryRoute({ apiBaseURL, showTokens }))
    .post('/session/end', requiresAuth(), ...endSessionRoute())
    .get('/logout', logoutRoute())
    // What answers these stands before the router, which needs them for `Allow`.
    .get(['/login', '/callback', '/healthz'], answeredBefore)
    .post(['/logout', '/backchannel-logout'], answeredBefore);

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
      routes: { backChannelLogout: '/backchannel-logout' },
      recordFlow: showTokens,
      api: { baseURL: apiBaseURL },
      onEvent: logClientEvent(logger),
    }),
  );
  app.use(routes.routes());
  app.use(routes.allowedMethods());
  app.on('error', (error: Error) => logger.error({ err: error }, 'the answer broke off'));
  return app;
}

const answeredBefore: Middleware = (_ctx, next) => next();
