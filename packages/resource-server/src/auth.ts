import { createEmitter, createPrinter, type IssuerError } from '@koa-oauth/issuer';
import type { Middleware, ParameterizedContext } from 'koa';
import { AuthError, isAuthError } from './errors.ts';
import { AUTH_CHANNEL, lineOf, refusalReasonOf } from './events.ts';
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

// In the registry of symbols, so that two copies of this package share it.
const REPORTED = Symbol.for('koa-oauth:reported');

/** Context with the error that an `auth` of this request has reported. */
interface Reported {
  [REPORTED]?: unknown;
}

/**
 * Verifies the access token of a request (RFC 6750, RFC 9068 §4) and puts its content into
 * `ctx.state.auth`.
 *
 * The middleware throws, and the application answers. An `AuthError` with status 400, 401 or 403 has a
 * `WWW-Authenticate` header. An `AuthError` or `IssuerError` with status 503 means that revocation, the
 * signature or the issuer's keys cannot be checked now.
 *
 * @throws InvalidOptions that names every wrong option
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
  const { authRequired, realm, resourceMetadata, onEvent, ...verifier } = checkOptions(options);
  const verifyAccessToken = accessTokenVerifier(verifier);
  const emit = createEmitter(AUTH_CHANNEL, onEvent ?? createPrinter(lineOf));

  return async function auth(ctx, next) {
    // The value of an earlier middleware does not come from this request's token.
    (ctx.state as { auth?: Auth<Claims> }).auth = undefined;
    try {
      const credentials = bearerCredentials(ctx.req, readForm(ctx));
      if (credentials !== undefined) {
        const { auth: content, cached } = await verifyAccessToken(credentials);
        const { client_id, azp } = content.payload;
        emit({ type: 'verified', clientId: client_id ?? azp, cached });
        ctx.state.auth = content;
      } else if (authRequired) throw new AuthError('ERR_MISSING_TOKEN');
      await next();
    } catch (error) {
      // An `auth` behind this one has reported it, and its challenge counts.
      if ((ctx as Reported)[REPORTED] === error) throw error;
      const reason = refusalReasonOf(error);
      if (reason !== undefined) {
        (ctx as Reported)[REPORTED] = error;
        const { code, detail } = error as Pick<AuthError | IssuerError, 'code' | 'detail'>;
        emit({ type: 'refused', code, reason, detail });
      }
      if (isAuthError(error) && error.challenge !== undefined) {
        const challenge = { ...error.challenge, realm, resource_metadata: resourceMetadata };
        error.headers = { ...error.headers, 'WWW-Authenticate': buildChallenge(challenge) };
      }
      throw error;
    }
  };
}

// The raw body is preferred: parsers ignore parameters above a maximum number.
function readForm(ctx: ParameterizedContext): unknown {
  const { body, rawBody } = ctx.request as { body?: unknown; rawBody?: unknown };
  if (body === undefined || !ctx.is('urlencoded')) return undefined;
  return typeof rawBody === 'string' ? Object.fromEntries(new URLSearchParams(rawBody)) : body;
}
