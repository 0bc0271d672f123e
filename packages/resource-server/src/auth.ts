import { channel } from 'node:diagnostics_channel';
import { createEmitter, createPrinter, type IssuerError } from '@koa-oauth/issuer';
import type { Middleware, ParameterizedContext } from 'koa';
import { ProofVerifier, type ProvenRequest, type UsedProof } from './dpop/proof-verifier.ts';
import { AuthError, isAuthError } from './errors.ts';
import { AUTH_CHANNEL, type AuthEvent, printedLine, refusalReasonOf } from './events.ts';
import { type AuthOptions, type CheckedOptions, checkOptions } from './options.ts';
import {
  type Credentials,
  headerValues,
  readCredentials,
  type TokenRequest,
} from './request/bearer-token.ts';
import { type BuildChallenges, challengeBuilder, type Scheme } from './request/challenge.ts';
import { accessTokenVerifier, type VerifyAccessToken } from './token/access-token-verifier.ts';
import { checkRevocation, type IsRevoked } from './token/revocations.ts';
import type { Auth } from './token/verified-tokens.ts';

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
  const { authRequired, ...checked } = checkOptions(options);
  const verifier = new RequestVerifier(checked);

  return async function auth(ctx, next) {
    // The value of an earlier middleware does not come from this request's token.
    (ctx.state as { auth?: Auth<Claims> }).auth = undefined;
    let scheme: Scheme | undefined;
    try {
      const credentials = verifier.readCredentials(ctx.req, readForm(ctx));
      if (credentials !== undefined) {
        ({ scheme } = credentials);
        ctx.state.auth = await verifier.verify(credentials, ctx.req, ctx);
        if (scheme === 'DPoP' && verifier.nonce !== undefined) {
          ctx.set('DPoP-Nonce', verifier.nonce);
        }
      } else if (authRequired) throw new AuthError('ERR_MISSING_TOKEN');
      await next();
    } catch (error) {
      // An `auth` behind this one has reported it, and its challenge counts.
      if ((ctx as Reported)[REPORTED] === error) throw error;
      if (verifier.refuse(error, scheme)) (ctx as Reported)[REPORTED] = error;
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

/** Options of `createAccessTokenVerifier`: those of `auth`, for requests that must have a token. */
export type AccessTokenVerifierOptions<Claims> = Omit<
  AuthOptions<Claims, TokenRequest>,
  'authRequired'
>;

/**
 * Verifies the access token of a request, or a bearer token that did not come with a request.
 *
 * @throws as `auth`: an AuthError has the `status` and, in `headers`, the challenge for an answer
 */
export type AccessTokenVerifier<Claims = unknown> = (
  request: TokenRequest | string,
) => Promise<Auth<Claims>>;

/**
 * Makes a function that verifies access tokens without Koa: for the upgrade to a WebSocket, a queue, or
 * an MCP server. It has the rules, cache, errors and events of `auth`.
 *
 * It takes a request (`IncomingMessage` of Node fits) or a bearer token. A token that is bound to a key
 * needs the request with its proof. The same request can be verified again later, without a new proof:
 * the function then throws if the token has expired or was revoked since.
 *
 * @throws InvalidOptions that names every wrong option
 * @example
 * const verify = createAccessTokenVerifier({ issuerBaseURL, audience });
 * const { payload } = await verify(message.accessToken);
 */
export function createAccessTokenVerifier<Claims = unknown>(
  options: AccessTokenVerifierOptions<Claims>,
): AccessTokenVerifier<Claims> {
  const verifier = new RequestVerifier(checkOptions(options));
  return async function verifyAccessToken(given) {
    const request =
      typeof given === 'string' ? { headers: { authorization: `Bearer ${given}` } } : (given ?? {});
    let credentials: Credentials | undefined;
    try {
      credentials = verifier.readCredentials(request);
      if (credentials === undefined) throw new AuthError('ERR_MISSING_TOKEN');
      return await verifier.verify(credentials, request);
    } catch (error) {
      verifier.refuse(error, credentials?.scheme);
      throw error;
    }
  };
}

// In the registry of symbols, so that two copies of this package share it. Not a member of the request, which
// may be frozen, and whose copy is another request.
const USED_PROOFS = Symbol.for('koa-oauth:used-proofs');
const shared = globalThis as { [USED_PROOFS]?: WeakMap<TokenRequest, UsedProof> };
shared[USED_PROOFS] ??= new WeakMap();
const usedProofs = shared[USED_PROOFS];

const subscribers = channel(AUTH_CHANNEL);

/** Verifies the credentials of requests, and reports the outcome. */
export class RequestVerifier<Claims> {
  readonly #verifyToken: VerifyAccessToken<Claims>;
  readonly #proofs: ProofVerifier | undefined;
  readonly #isRevoked: IsRevoked | undefined;
  readonly #buildChallenges: BuildChallenges;
  readonly #emit: (event: AuthEvent) => void;
  /** Duration of a failed verification in milliseconds, by its error. */
  readonly #failedAfter = new WeakMap<WeakKey, number>();

  constructor(checked: Omit<CheckedOptions<Claims>, 'authRequired'>) {
    const { realm, resourceMetadata, onEvent, dpop, isRevoked, clockTolerance, ...options } =
      checked;
    const { verifySignature, now } = options;
    this.#verifyToken = accessTokenVerifier(options);
    this.#proofs = dpop && new ProofVerifier({ ...dpop, verifySignature, clockTolerance, now });
    this.#isRevoked = isRevoked;
    this.#buildChallenges = challengeBuilder({ realm, resource_metadata: resourceMetadata }, dpop);
    this.#emit = createEmitter(AUTH_CHANNEL, onEvent ?? createPrinter(printedLine));
  }

  /** Nonce for the next proof, if one is needed and known. */
  get nonce(): string | undefined {
    return this.#proofs?.nonce;
  }

  /** Returns the credentials of a request, or undefined without any. @throws as `readCredentials` */
  readCredentials(request: TokenRequest, form?: unknown): Credentials | undefined {
    const credentials = readCredentials(request, form);
    // Without the option, DPoP is an unknown scheme.
    return credentials?.scheme === 'DPoP' && !this.#proofs ? undefined : credentials;
  }

  /**
   * Verifies the token of a request, and its proof.
   *
   * @param ctx Koa's, whose `originalUrl` is the request target as it arrived
   */
  async verify(
    { token, scheme }: Credentials,
    request: TokenRequest,
    ctx: TokenRequest & { readonly originalUrl?: string } = request,
  ): Promise<Auth<Claims>> {
    const startedAt = subscribers.hasSubscribers ? performance.now() : undefined;
    try {
      const { auth, cached, jkt } = await this.#verifyToken(token, scheme, ctx);
      // A wrong proof costs no query, and a proof of a revoked token is not stored.
      const beforeUse = async () => {
        if (this.#isRevoked) await checkRevocation(auth.payload, this.#isRevoked);
      };
      if (jkt === undefined || !this.#proofs) await beforeUse();
      else {
        const target = ctx.originalUrl ?? request.url ?? '/';
        await this.#proofs.verify(provenRequest(request, target, beforeUse), token, jkt);
      }
      const clientId = auth.payload.client_id ?? auth.payload.azp;
      this.#emit({ type: 'verified', clientId, cached, durationMs: elapsedSince(startedAt) });
      return auth;
    } catch (error) {
      const durationMs = elapsedSince(startedAt);
      if (durationMs !== undefined && refusalReasonOf(error) !== undefined) {
        this.#failedAfter.set(error as Error, durationMs);
      }
      throw error;
    }
  }

  /**
   * Adds the challenge to an error, and publishes the event of a refused request.
   *
   * @returns false for any other error
   */
  refuse(error: unknown, scheme: Scheme | undefined): boolean {
    const reason = refusalReasonOf(error);
    if (reason === undefined) return false;
    const { code, detail } = error as Pick<AuthError | IssuerError, 'code' | 'detail'>;
    const durationMs = this.#failedAfter.get(error as Error);
    this.#emit({ type: 'refused', code, reason, detail, durationMs });
    if (isAuthError(error) && error.challenge !== undefined) {
      error.headers = {
        ...error.headers,
        'WWW-Authenticate': this.#buildChallenges(error.challenge, scheme),
        ...(this.nonce !== undefined && { 'DPoP-Nonce': this.nonce }),
      };
    }
    return true;
  }
}

function provenRequest(
  request: TokenRequest,
  target: string,
  beforeUse: ProvenRequest['beforeUse'],
): ProvenRequest {
  const used = usedProofs.get(request) ?? { proof: undefined, acceptedBy: new Set() };
  usedProofs.set(request, used);
  const proofs = headerValues(request, 'dpop');
  return { method: request.method, target, proofs, used, beforeUse };
}

function elapsedSince(startedAt: number | undefined): number | undefined {
  return startedAt === undefined ? undefined : performance.now() - startedAt;
}
