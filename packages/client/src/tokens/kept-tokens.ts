import { createHash } from 'node:crypto';
import type { ClientContext } from '../client-context.ts';
import { InsufficientScope, OidcError } from '../errors.ts';
import { isSameScope, missingScopes, scopesOf } from '../oauth/scope.ts';
import type { AccessToken, Session, SessionContent } from '../session/session.ts';
import type { BackOff } from './back-off.ts';

/** One request for an access token of a session, on its way through the sources. */
export interface TokenRequest {
  readonly session: Session;
  readonly wanted: WantedToken;
  /** Until when to wait for others, by `performance.now()`. */
  readonly deadline: number;
}

export interface SuppliedToken {
  /** The session after the call. */
  readonly session: Session;
  readonly accessToken: AccessToken;
}

/** Supplies an access token. Sources stand one in another; each rejects as `AccessTokens.supply`. */
export type TokenSource<Request extends TokenRequest = TokenRequest> = (
  request: Request,
) => Promise<SuppliedToken>;

/** Requested access token of a session. */
export interface WantedToken {
  /** Scopes that it must have, and no others if that can be had; undefined: all that are granted. */
  readonly scope: string | undefined;
  /** The API it is for; undefined: the sign-in's. */
  readonly audience: string | undefined;
  /** The value of a token that an API refused: it is not supplied again. */
  readonly insteadOf: string | undefined;
}

interface Moment {
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the token must last; half of its lifetime is enough in any case. */
  readonly leeway: number;
}

const MAX_OTHER_TOKENS = 8;

/** Returns the same request, without scope and audience where they are the sign-in's own. */
export function wantedOf(content: SessionContent, wanted: WantedToken): WantedToken {
  const isSignInsAudience = wanted.audience === content.requestedAudience;
  const audience = isSignInsAudience ? undefined : wanted.audience;
  const granted = content.accessToken?.scope;
  const isAll = wanted.scope !== undefined && granted !== undefined && !audience;
  const scope = isAll && isSameScope(wanted.scope, granted) ? undefined : wanted.scope;
  return { ...wanted, audience, scope };
}

/** Returns the token with the fewest scopes, of those that suffice and last. */
export function findToken(
  content: SessionContent,
  wanted: WantedToken,
  moment: Moment,
): AccessToken | undefined {
  const [found] = candidates(content, wanted)
    .filter((token) => token.value !== wanted.insteadOf && lasts(token, moment))
    .sort((one, other) => scopesOf(one.scope).size - scopesOf(other.scope).size);
  return found;
}

/**
 * Returns the scopes that were asked for and not granted, as far as is known: a new request would
 * not get them either.
 */
export function refusedScopes(
  { accessToken, otherAccessTokens = [] }: SessionContent,
  { scope, audience }: WantedToken,
  now: number,
): string[] {
  if (scope === undefined) return [];
  if (audience === undefined) return accessToken ? missingScopes(scope, accessToken.scope) : [];
  const asked = otherAccessTokens.findLast(
    (token) =>
      token.audience === audience &&
      missingScopes(scope, token.requestedScope).length === 0 &&
      lasts(token, { now, leeway: 0 }),
  );
  return asked ? missingScopes(scope, asked.scope) : [];
}

/** Returns the content with a new token in it, which replaces the sign-in's only if it is that. */
export function withToken(
  content: SessionContent,
  { scope, audience }: WantedToken,
  accessToken: AccessToken,
  now: number,
): SessionContent {
  if (isSignInToken({ scope, audience })) return { ...content, accessToken };
  const { otherAccessTokens = [] } = content;
  const kept = otherAccessTokens.filter(
    (token) =>
      lasts(token, { now, leeway: 0 }) &&
      !(
        token.audience === audience && isSameScope(token.requestedScope, accessToken.requestedScope)
      ),
  );
  const others = [...kept, { ...accessToken, audience }].slice(-MAX_OTHER_TOKENS);
  return { ...content, otherAccessTokens: others };
}

/** Returns the content without its access and refresh tokens. */
export function withoutTokens(content: SessionContent): SessionContent {
  return {
    ...content,
    accessToken: undefined,
    refreshToken: undefined,
    otherAccessTokens: undefined,
  };
}

export function isSignInToken({
  scope,
  audience,
}: Pick<WantedToken, 'scope' | 'audience'>): boolean {
  return scope === undefined && audience === undefined;
}

function candidates(content: SessionContent, wanted: WantedToken): AccessToken[] {
  const { accessToken, refreshToken, otherAccessTokens = [] } = content;
  const { scope, audience } = wanted;
  if (isSignInToken(wanted)) return accessToken ? [accessToken] : [];
  const suffices = (token: AccessToken) =>
    scope === undefined
      ? token.requestedScope === ''
      : missingScopes(scope, token.scope).length === 0;
  const others = otherAccessTokens.filter(
    (token) => token.audience === audience && suffices(token),
  );
  // Only a refresh token can get fewer scopes than the sign-in's.
  const usesSignInToken = audience === undefined && refreshToken === undefined;
  return usesSignInToken && accessToken && suffices(accessToken)
    ? [...others, accessToken]
    : others;
}

function lasts({ expiresAt, issuedAt }: AccessToken, { now, leeway }: Moment): boolean {
  if (expiresAt === undefined) return true;
  return expiresAt - Math.min(leeway, (expiresAt - issuedAt) / 2) > now;
}

/** The tokens that a session has: decides what can be decided without asking for a new one. */
export class KeptTokens {
  readonly #context: ClientContext;
  readonly #backOff: BackOff;

  constructor(context: ClientContext, backOff: BackOff) {
    this.#context = context;
    this.#backOff = backOff;
  }

  /** Returns a token that will last for a while, as far as the session has one. */
  findLasting({ session, wanted }: TokenRequest): SuppliedToken | undefined {
    const { refreshLeeway } = this.#context.options;
    return this.#find(session, wanted, leewayOf(session, refreshLeeway));
  }

  /** Returns a token that is valid right now, as far as the session has one. */
  findValid({ session, wanted }: TokenRequest): SuppliedToken | undefined {
    return this.#find(session, wanted, 0);
  }

  /**
   * Reads the session again, and decides by what it has now.
   *
   * @returns a token that will do, or none when one must be asked for
   * @throws OidcError when a request would not help, or may not be made yet
   */
  async reread(
    request: TokenRequest,
  ): Promise<{ session: Session; supplied: SuppliedToken | undefined }> {
    const { sessions, options } = this.#context;
    const session = await sessions.reload(request.session);
    if (!session) throw loginRequired('the session has ended');
    const { content } = session;
    const current = { ...request, session };
    const lasting = this.findLasting(current);
    if (lasting) return { session, supplied: lasting };
    const wanted = wantedOf(content, request.wanted);
    const refused = refusedScopes(content, wanted, options.now() / 1000);
    if (refused.length > 0) throw new InsufficientScope(refused.join(' '));

    const pause = this.#backOff.pauseOf(session.id);
    const mayAsk = !pause && performance.now() <= request.deadline;
    if (content.refreshToken && mayAsk) return { session, supplied: undefined };
    const valid = this.findValid(current);
    if (valid) return { session, supplied: valid };
    if (!content.refreshToken) {
      throw loginRequired('no access token is left, and there is no refresh token');
    }
    throw new OidcError('ERR_TOKEN_ENDPOINT_UNAVAILABLE', {
      detail: pause ? 'no new request yet' : 'another renews the token, and is not done',
      cause: pause?.error,
      retryAfter: pause?.seconds,
    });
  }

  #find(session: Session, wanted: WantedToken, leeway: number): SuppliedToken | undefined {
    const { content } = session;
    const moment = { now: this.#context.options.now() / 1000, leeway };
    const accessToken = findToken(content, wantedOf(content, wanted), moment);
    return accessToken && { session, accessToken };
  }
}

/** Supplies a token that the session has, and asks the source only when there is none. */
export function kept(source: TokenSource, tokens: KeptTokens): TokenSource {
  return async function kept(request) {
    return tokens.findLasting(request) ?? source(request);
  };
}

/** Returns a leeway that differs by session, so that not all renew at once, but not by process. */
function leewayOf({ id }: Session, leeway: number): number {
  const fraction = createHash('sha256').update(id).digest().readUInt16BE() / 2 ** 16;
  return leeway * (1 + fraction / 2);
}

export function loginRequired(detail: string, cause?: unknown): OidcError {
  return new OidcError('ERR_LOGIN_REQUIRED', { detail, cause });
}
