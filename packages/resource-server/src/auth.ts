import { createEmitter } from '@koa-oauth/issuer';
import type { Middleware, ParameterizedContext } from 'koa';
import { AuthError, isAuthError } from './errors.ts';
import { AUTH_CHANNEL, type AuthEvent, refusalReasonOf } from './events.ts';
import { type AuthOptions, checkOptions } from './options.ts';
import { bearerCredentials } from './request/bearer-token.ts';
import { buildChallenge } from './request/challenge.ts';
import { type Auth, accessTokenVerifier } from './token/access-token-verifier.ts';

declare module 'koa' {
  interface DefaultState {
    auth?: Auth;
  }
}

/** State after `auth`: content of the access token. */
export interface AuthState<Claims = unknown> {
  auth: Auth<Claims>;
}

/** State after `auth({ authRequired: false })`: undefined without a token. */
export interface OptionalAuthState<Claims = unknown> {
  auth?: Auth<Claims> | undefined;
}

/** Koa middleware that sets its state, and needs nothing in it. */
export type AuthMiddleware<State> = Middleware & Middleware<State>;

/**
 * Lets a request in by its access token (RFC 6750, RFC 9068 §4) and puts what the token says into
 * `ctx.state.auth`.
 *
 * It throws, and leaves answering to the application: `AuthError`s with status 400, 401 or 403 and
 * a `WWW-Authenticate` header, and with status 503 an `AuthError` or `IssuerError` when revocation,
 * the signature or the issuer's keys cannot be checked. Errors of the routes after it are not
 * changed.
 *
 * @throws InvalidOptions at once, naming every option at fault
 * @example
 * const router = new Router<AuthState>();
 * router.use(auth({ issuerBaseURL: 'https://tenant.example.com/', audience: 'https://api.example.com' }));
 * router.get('/orders', requiredScopes('read:orders'), (ctx) => {
 *   ctx.body = { user: ctx.state.auth.payload.sub };
 * });
 */
export function auth<Claims = unknown>(
  options: AuthOptions<Claims> & { authRequired?: true | undefined },
): AuthMiddleware<AuthState<Claims>>;
export function auth<Claims = unknown>(
  options: AuthOptions<Claims>,
): AuthMiddleware<OptionalAuthState<Claims>>;
export function auth<Claims>(options: AuthOptions<Claims>): AuthMiddleware<AuthState<Claims>> {
  const { authRequired, realm, resourceMetadata, onEvent, ...checked } = checkOptions(options);
  const verifyAccessToken = accessTokenVerifier(checked);
  const emit = createEmitter<AuthEvent>(AUTH_CHANNEL, onEvent);

  return async function auth(ctx, next) {
    // An earlier middleware may have left something there that is not of this request's token.
    (ctx.state as { auth?: Auth<Claims> }).auth = undefined;
    try {
      const { rawHeaders, url = '' } = ctx.req;
      const credentials = bearerCredentials({ rawHeaders, url, form: formOf(ctx) });
      if (credentials !== undefined) {
        const { auth, cached } = await verifyAccessToken(credentials);
        const { client_id: clientId = auth.payload.azp } = auth.payload;
        emit({ type: 'verified', clientId, cached });
        ctx.state.auth = auth;
      } else if (authRequired) throw new AuthError('ERR_MISSING_TOKEN');
      await next();
    } catch (error) {
      const reason = refusalReasonOf(error);
      if (reason !== undefined) {
        const { detail } = error as { detail?: string };
        emit({ type: 'refused', reason, detail });
      }
      if (isAuthError(error) && error.challenge !== undefined) {
        const challenge = { ...error.challenge, realm, resource_metadata: resourceMetadata };
        error.headers = { ...error.headers, 'WWW-Authenticate': buildChallenge(challenge) };
      }
      throw error;
    }
  };
}

// The raw body, where the parser keeps it: parsers give up after so many parameters.
function formOf(ctx: ParameterizedContext): unknown {
  const { body, rawBody } = ctx.request as { body?: unknown; rawBody?: unknown };
  if (body === undefined || !ctx.is('urlencoded')) return undefined;
  return typeof rawBody === 'string' ? Object.fromEntries(new URLSearchParams(rawBody)) : body;
}
