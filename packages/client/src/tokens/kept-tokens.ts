import { hash } from 'node:crypto';
import type { ClientContext } from '../client-context.ts';
import { InsufficientScope, OidcError } from '../errors.ts';
import { isSameScope, missingScopes, scopesOf } from '../oauth/scope.ts';
import type { AccessToken, Session, SessionContent } from '../session/session.ts';
import type { BackOff } from './back-off.ts';

/** Request for an access token of a session, which one source passes to the next. */
export interface TokenRequest {
  readonly session: Session;
  readonly wanted: WantedToken;
  /** Time until which to wait for others, by `performance.now()`. */
  readonly deadline: number;
}

export interface SuppliedToken {
  /** The session after the call. */
  readonly session: Session;
  readonly accessToken: AccessToken;
}

/** Supplies an access token. A source can wrap another. Each rejects as `AccessTokens.supply` does. */
export type TokenSource<Request extends TokenRequest = TokenRequest> = (
  request: Request,
) => Promise<SuppliedToken>;

/** Requested access token of a session. */
export interface WantedToken {
  /** Scopes that it must have, and no others if possible. Undefined: all granted scopes. */
  readonly scope: string | undefined;
  /** Identifier of its API. Undefined: the API of the sign-in. */
  readonly audience: string | undefined;
  /** Value of a token that an API rejected. It is not supplied again. */
  readonly insteadOf: string | undefined;
}

interface Moment {
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the token must last, at most half of its lifetime. */
  readonly leeway: number;
}

const MAX_OTHER_TOKENS = 8;
/** An API that refuses a token this young refuses the next one too. */
const MIN_RENEWED_AGE_SECONDS = 10;

/** Returns the wanted token without the scope and audience that equal those of the sign-in. */
export function wantedOf(content: SessionContent, wanted: WantedToken): WantedToken {
  const isSignInAudience = wanted.audience === content.requestedAudience;
  const audience = isSignInAudience ? undefined : wanted.audience;
  const granted = content.accessToken?.scope;
  const isAll = wanted.scope !== undefined && granted !== undefined && !audience;
  const scope = isAll && isSameScope(wanted.scope, granted) ? undefined : wanted.scope;
  return { ...wanted, audience, scope };
}

/** Returns the token with the fewest scopes among those that suffice and last. */
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
 * Returns the scopes that were requested and are known to be refused. A new request would not get them
 * either.
 */
export function refusedScopes(
  { accessToken, otherAccessTokens = [] }: SessionContent,
  { scope, audience }: WantedToken,
  now: number,
): string[] {
  if (scope === undefined) return [];
  if (audience === undefined) return accessToken ? missingScopes(scope, accessToken.scope) : [];
  const answered = otherAccessTokens.findLast(
    (token) =>
      token.audience === audience &&
      missingScopes(scope, token.requestedScope).length === 0 &&
      lasts(token, { now, leeway: 0 }),
  );
  return answered ? missingScopes(scope, answered.scope) : [];
}

/** Returns the content with a new token, which replaces that of the sign-in only for its scope and audience. */
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
  // Only a refresh can request fewer scopes than the sign-in.
  const usesSignInToken = audience === undefined && refreshToken === undefined;
  return usesSignInToken && accessToken && suffices(accessToken)
    ? [...others, accessToken]
    : others;
}

function lasts({ expiresAt, issuedAt }: AccessToken, { now, leeway }: Moment): boolean {
  if (expiresAt === undefined) return true;
  return expiresAt - Math.min(leeway, (expiresAt - issuedAt) / 2) > now;
}

/** Tokens of a session: finds one that can be used, or why none can be requested. */
export class KeptTokens {
  readonly #context: ClientContext;
  readonly #backOff: BackOff;
  readonly #refusals: BackOff;

  /**
   * @param backOff pauses of sessions
   * @param refusals pauses of tokens, by `nameOfToken`, for which the issuer wants the user to sign in
   */
  constructor(context: ClientContext, backOff: BackOff, refusals: BackOff) {
    this.#context = context;
    this.#backOff = backOff;
    this.#refusals = refusals;
  }

  /** Returns a token that stays valid for `refreshLeeway`, if the session has one. */
  findLasting({ session, wanted }: TokenRequest): SuppliedToken | undefined {
    const { refreshLeeway } = this.#context.options;
    return this.#find(session, wanted, leewayOf(session, refreshLeeway));
  }

  /** Returns a token that is valid now, if the session has one. */
  findValid({ session, wanted }: TokenRequest): SuppliedToken | undefined {
    return this.#find(session, wanted, 0);
  }

  /**
   * Reads the session again, and looks for a token in it.
   *
   * @returns a token, or none when one must be requested
   * @throws OidcError when a request would not help, or must wait
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

    const refusal = this.#refusals.pauseOf(nameOfToken(session, wanted));
    const pause = refusal ?? this.#backOff.pauseOf(session.id);
    const mayRequest = !pause && performance.now() <= request.deadline;
    if (content.refreshToken && mayRequest) return { session, supplied: undefined };
    const valid = this.findValid(current);
    if (valid) return { session, supplied: valid };
    if (!content.refreshToken) {
      const hint = scopesOf(content.requestedScope).has('offline_access')
        ? ''
        : ': request the scope offline_access';
      throw loginRequired(`no access token is left, and there is no refresh token${hint}`);
    }
    if (refusal) throw userNeeded(refusal.error);
    throw new OidcError('ERR_TOKEN_ENDPOINT_UNAVAILABLE', {
      detail: pause ? 'no new request yet' : 'another renews the token, and is not done',
      cause: pause?.error,
      retryAfter: pause?.seconds,
    });
  }

  #find(session: Session, wanted: WantedToken, leeway: number): SuppliedToken | undefined {
    const { content } = session;
    const moment = { now: this.#context.options.now() / 1000, leeway };
    const insteadOf = wasJustRenewed(session, wanted.insteadOf, moment.now)
      ? undefined
      : wanted.insteadOf;
    const accessToken = findToken(content, wantedOf(content, { ...wanted, insteadOf }), moment);
    return accessToken && { session, accessToken };
  }
}

/** Supplies a token that the session has. Only when there is none, it calls the source. */
export function kept(source: TokenSource, tokens: KeptTokens): TokenSource {
  return async function kept(request) {
    return tokens.findLasting(request) ?? source(request);
  };
}

/** Reports whether a refresh returned the token some seconds ago. That of the sign-in can always be renewed. */
function wasJustRenewed(
  { content, createdAt, version }: Session,
  value: string | undefined,
  now: number,
): boolean {
  const { accessToken, otherAccessTokens = [] } = content;
  const issuedAt = [accessToken, ...otherAccessTokens].find(
    (one) => one?.value === value,
  )?.issuedAt;
  if (value === undefined || issuedAt === undefined) return false;
  const isFromSignIn = version === 1 || issuedAt < createdAt;
  return !isFromSignIn && now - issuedAt < MIN_RENEWED_AGE_SECONDS;
}

/** Returns a leeway that differs by session, not by process, so that not all are renewed at once. */
function leewayOf({ id }: Session, leeway: number): number {
  const fraction = hash('sha256', id, 'buffer').readUInt16BE() / 2 ** 16;
  return leeway * (1 + fraction / 2);
}

/** Returns a name of a session's token: what the issuer refuses for one API, it may grant for another. */
export function nameOfToken({ id }: Session, { scope, audience }: WantedToken): string {
  return JSON.stringify([id, scope, audience]);
}

export function userNeeded(cause: Error): OidcError {
  return loginRequired('the issuer wants the user to sign in', cause);
}

export function loginRequired(detail: string, cause?: unknown): OidcError {
  return new OidcError('ERR_LOGIN_REQUIRED', { detail, cause });
}
