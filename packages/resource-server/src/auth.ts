import { createEmitter, createPrinter, type IssuerError } from '@koa-oauth/issuer';
import type { Middleware, ParameterizedContext } from 'koa';
import { ProofVerifier, type ProvenRequest } from './dpop/proof-verifier.ts';
import { AuthError, isAuthError } from './errors.ts';
import { AUTH_CHANNEL, lineOf, refusalReasonOf } from './events.ts';
import { type AuthOptions, checkOptions } from './options.ts';
import { headerValues, readCredentials } from './request/bearer-token.ts';
import { challengesOf, type Scheme } from './request/challenge.ts';
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

const USED_PROOFS = Symbol.for('koa-oauth:used-proofs');

/** Context with the error that an `auth` of this request has reported. */
interface Reported {
  [REPORTED]?: unknown;
  [USED_PROOFS]?: Set<string>;
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
  const { authRequired, realm, resourceMetadata, onEvent, dpop, ...verifier } =
    checkOptions(options);
  const verifyAccessToken = accessTokenVerifier(verifier);
  const { verifySignature, rules, now } = verifier;
  const { clockTolerance } = rules;
  const proofs = dpop && new ProofVerifier({ ...dpop, verifySignature, clockTolerance, now });
  const buildChallenges = challengesOf({ realm, resource_metadata: resourceMetadata }, dpop);
  const emit = createEmitter(AUTH_CHANNEL, onEvent ?? createPrinter(lineOf));

  return async function auth(ctx, next) {
    // The value of an earlier middleware does not come from this request's token.
    (ctx.state as { auth?: Auth<Claims> }).auth = undefined;
    let scheme: Scheme | undefined;
    try {
      const credentials = readCredentials(ctx.req, readForm(ctx));
      // Without the option, DPoP is a scheme like any other that is not known here.
      if (credentials !== undefined && (proofs || credentials.scheme === 'Bearer')) {
        ({ scheme } = credentials);
        const { auth: content, cached, jkt } = await verifyAccessToken(credentials.token, scheme);
        if (proofs && jkt !== undefined) {
          await proofs.verify(provenRequest(ctx), credentials.token, jkt);
          if (proofs.nonce !== undefined) ctx.set('DPoP-Nonce', proofs.nonce);
        }
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
        error.headers = {
          ...error.headers,
          'WWW-Authenticate': buildChallenges(error.challenge, scheme),
          ...(proofs?.nonce !== undefined && { 'DPoP-Nonce': proofs.nonce }),
        };
      }
      throw error;
    }
  };
}

function provenRequest(ctx: ParameterizedContext & Reported): ProvenRequest {
  const { req, originalUrl } = ctx;
  ctx[USED_PROOFS] ??= new Set();
  const proofs = headerValues(req, 'dpop');
  return { method: req.method, target: originalUrl, proofs, used: ctx[USED_PROOFS] };
}

// The raw body is preferred: parsers ignore parameters above a maximum number.
function readForm(ctx: ParameterizedContext): unknown {
  const { body, rawBody } = ctx.request as { body?: unknown; rawBody?: unknown };
  if (body === undefined || !ctx.is('urlencoded')) return undefined;
  return typeof rawBody === 'string' ? Object.fromEntries(new URLSearchParams(rawBody)) : body;
}
