import { METHODS } from 'node:http';
import Router from '@koa/router';
import { auth, type ClientEvent, type SessionStore } from '@koa-oauth/client';
import {
  describeError,
  logBrokenAnswers,
  rejectMalformedTarget,
  requestLog,
  securityHeaders,
} from '@koa-oauth/service';
import Koa, { type Middleware } from 'koa';
import type { Level, Logger } from 'pino';
import { assets } from './assets.ts';
import { contactRoutes } from './contacts/contact-routes.ts';
import { errorPage } from './error-page.ts';
import { healthRoutes, homeRoutes } from './home-routes.ts';
import { FlowLog } from './session/flow-log.ts';
import { sessionRoutes } from './session/session-routes.ts';
import type { Settings } from './settings.ts';

interface AppOptions
  extends Omit<Settings, 'port' | 'host' | 'sessionStoreURL' | 'hasTelemetry' | 'logLevel'> {
  readonly store: SessionStore;
  readonly logger: Logger;
  /** Makes spans of requests. Default: there are none */
  readonly traceRequests?: Middleware | undefined;
}

/** Creates the web app: its middleware in order, and every route. */
export function createApp(options: AppOptions): Koa {
  const { issuerBaseURL, apiBaseURL, showTokens } = options;
  const logger = options.logger.child({}, { serializers: { err: describeError } });
  const flowLog = showTokens ? new FlowLog(options.store) : undefined;
  const client = clientRoutes();

  const app = new Koa();
  app.use(requestLog({ logger }));
  if (options.traceRequests) app.use(options.traceRequests);
  app.use(pageHeaders(options));
  app.use(errorPage());
  app.use(rejectMalformedTarget());
  app.use(healthRoutes().routes());
  app.use(assets());
  app.use(signIn(options, logger, flowLog));
  app.use(homeRoutes({ issuerBaseURL, apiBaseURL }).routes());
  app.use(contactRoutes().routes());
  app.use(sessionRoutes({ apiBaseURL, showTokens, flowLog }).routes());
  app.use(client.routes());
  app.use(client.allowedMethods());
  app.on('error', logBrokenAnswers(logger));
  return app;
}

function pageHeaders({ baseURL }: Pick<AppOptions, 'baseURL'>): Middleware {
  return securityHeaders({
    directives: {
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      // The style sheet draws the small icons of form fields from data: URLs.
      imgSrc: ["'self'", 'data:'],
      formAction: ["'self'"],
    },
    strictTransportSecurity: baseURL.startsWith('https:'),
    referrerPolicy: 'same-origin',
  });
}

function signIn(options: AppOptions, logger: Logger, flowLog: FlowLog | undefined): Middleware {
  const { scope, audience } = options;
  return auth({
    issuerBaseURL: options.issuerBaseURL,
    baseURL: options.baseURL,
    clientID: options.clientID,
    clientSecret: options.clientSecret,
    clientAuthMethod: options.clientAuthMethod,
    secret: options.secrets,
    authorizationParams: { scope, audience, ...options.authorizationParams },
    dpop: options.dpop,
    idpLogout: options.idpLogout,
    session: { store: options.store },
    routes: { backChannelLogout: '/backchannel-logout' },
    ...(flowLog && { onMessage: (message) => flowLog.add(message) }),
    api: { baseURL: options.apiBaseURL },
    onEvent: logClientEvent(logger),
  });
}

/**
 * Routes that `auth` answers, so that their other methods get a 405 with `Allow`. With METHODS a method that
 * the router does not know gets it too, instead of a 501.
 */
function clientRoutes(): Router {
  return new Router({ methods: METHODS })
    .get(['/login', '/callback'], pass)
    .post(['/logout', '/backchannel-logout'], pass);
}

const pass: Middleware = (_ctx, next) => next();

const LEVELS: Readonly<Record<ClientEvent['type'], Level>> = {
  signed_in: 'info',
  sign_in_refused: 'warn',
  token_refreshed: 'debug',
  token_refresh_failed: 'warn',
  session_ended: 'info',
  warning: 'warn',
  // The request log has it too.
  request_failed: 'debug',
  keys_refreshed: 'debug',
  keys_left_out: 'warn',
  refresh_failed: 'warn',
  stale_used: 'warn',
};

/** Returns a listener that logs events of the client. They name no person. */
export function logClientEvent(logger: Pick<Logger, Level>): (event: ClientEvent) => void {
  return function logEvent({ type, ...details }) {
    logger[LEVELS[type]](details, type.replaceAll('_', ' '));
  };
}
