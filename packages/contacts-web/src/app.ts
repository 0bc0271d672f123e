import { METHODS } from 'node:http';
import Router from '@koa/router';
import { auth, type ClientEvent, type SessionStore } from '@koa-oauth/client';
import {
  describeError,
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

type Registration = 'issuerBaseURL' | 'clientID' | 'clientSecret' | 'clientAuthMethod' | 'scope';

interface AppOptions extends Pick<Settings, Registration | 'apiBaseURL' | 'audience'> {
  /** The app's own address, without a slash at its end. */
  readonly baseURL: string;
  /** Newest first. */
  readonly secrets: readonly string[];
  readonly store: SessionStore;
  /** Whether `/session` shows the flow and the tokens: in development only. */
  readonly showTokens: boolean;
  readonly logger: Logger;
}

/** The web app: its layers from the outside in, and every route. */
export function createApp(options: AppOptions): Koa {
  const { baseURL, issuerBaseURL, apiBaseURL, audience, scope, showTokens } = options;
  const logger = options.logger.child({}, { serializers: { err: describeError } });

  const flowLog = showTokens ? new FlowLog(options.store) : undefined;

  const app = new Koa();
  app.use(requestLog({ logger }));
  app.use(
    securityHeaders({
      directives: {
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        // The style sheet draws the small icons of form fields from data: URLs.
        imgSrc: ["'self'", 'data:'],
        // Signing out leads to the issuer, and browsers hold a form's redirects against this, too.
        formAction: ["'self'", new URL(issuerBaseURL).origin],
      },
      strictTransportSecurity: baseURL.startsWith('https:'),
      referrerPolicy: 'same-origin',
    }),
  );
  app.use(errorPage());
  app.use(rejectMalformedTarget());
  app.use(healthRoutes().routes());
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
      ...(flowLog && { onMessage: (message) => flowLog.add(message) }),
      api: { baseURL: apiBaseURL },
      onEvent: logClientEvent(logger),
    }),
  );
  app.use(homeRoutes({ issuerBaseURL, apiBaseURL }).routes());
  app.use(contactRoutes().routes());
  app.use(sessionRoutes({ apiBaseURL, showTokens, flowLog }).routes());
  // What answers these stands before, and `Allow` needs them. Every method is known here, so that a
  // wrong one is a 405 and never a 501.
  const answered = new Router({ methods: METHODS })
    .get(['/login', '/callback'], pass)
    .post(['/logout', '/backchannel-logout'], pass);
  app.use(answered.routes());
  app.use(answered.allowedMethods());
  app.on('error', (error: Error) => logger.error({ err: error }, 'the answer broke off'));
  return app;
}

const pass: Middleware = (_ctx, next) => next();

const LEVELS: Readonly<Record<ClientEvent['type'], Level>> = {
  signed_in: 'info',
  sign_in_refused: 'warn',
  token_refreshed: 'debug',
  token_refresh_failed: 'warn',
  session_ended: 'info',
  warning: 'warn',
  keys_refreshed: 'debug',
  keys_left_out: 'warn',
  refresh_failed: 'warn',
  stale_used: 'warn',
};

/** Writes what happens to sign-ins, tokens and sessions to the log; none of it names a person. */
export function logClientEvent(logger: Pick<Logger, Level>): (event: ClientEvent) => void {
  return function logEvent({ type, ...particulars }) {
    logger[LEVELS[type]](particulars, type.replaceAll('_', ' '));
  };
}
