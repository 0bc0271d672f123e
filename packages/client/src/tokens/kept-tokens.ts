import { isSameScope, missingScopes, scopesOf } from '../oauth/scope.ts';
import type { AccessToken, OtherAccessToken, SessionContent } from '../session/session.ts';

/** Which access token of a session somebody asks for. */
export interface WantedToken {
  /** Scopes that it must have, and no others if that can be had; undefined: all that are granted. */
  readonly scope: string | undefined;
  /** The API it is for; undefined: the sign-in's. */
  readonly audience: string | undefined;
  /** The value of a token that will not do, however long it lasts: an API refused it. */
  readonly insteadOf: string | undefined;
}

interface Moment {
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds that the token must last; half of its lifetime is enough in any case. */
  readonly leeway: number;
}

const MAX_OTHERS = 8;

/** The same wish, with what is the sign-in's own not named. */
export function wantedOf(content: SessionContent, wanted: WantedToken): WantedToken {
  const isSignInsAudience = wanted.audience === content.requestedAudience;
  const audience = isSignInsAudience ? undefined : wanted.audience;
  const granted = content.accessToken?.scope;
  const isAll = wanted.scope !== undefined && granted !== undefined && !audience;
  const scope = isAll && isSameScope(wanted.scope, granted) ? undefined : wanted.scope;
  return { ...wanted, audience, scope };
}

/** Of the tokens that suffice and last, the one with the fewest scopes. */
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
 * The scopes that were asked for and not granted, as far as is known: a new request would not get
 * them either.
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

/** The content with a new token in it: in place of the sign-in's only if it is just that. */
export function withToken(
  content: SessionContent,
  { scope, audience }: WantedToken,
  accessToken: AccessToken,
  now: number,
): SessionContent {
  if (isSignIns({ scope, audience })) return { ...content, accessToken };
  const { otherAccessTokens = [] } = content;
  const kept = otherAccessTokens.filter(
    (token) =>
      lasts(token, { now, leeway: 0 }) &&
      !(
        token.audience === audience && isSameScope(token.requestedScope, accessToken.requestedScope)
      ),
  );
  const others = [...kept, { ...accessToken, audience }].slice(-MAX_OTHERS);
  return { ...content, otherAccessTokens: others };
}

/** The content without any token that is good for something. */
export function withoutTokens(content: SessionContent): SessionContent {
  return {
    ...content,
    accessToken: undefined,
    refreshToken: undefined,
    otherAccessTokens: undefined,
  };
}

export function isSignIns({ scope, audience }: Pick<WantedToken, 'scope' | 'audience'>): boolean {
  return scope === undefined && audience === undefined;
}

function candidates(content: SessionContent, wanted: WantedToken): AccessToken[] {
  const { accessToken, refreshToken, otherAccessTokens = [] } = content;
  const { scope, audience } = wanted;
  if (isSignIns(wanted)) return accessToken ? [accessToken] : [];
  const suffices = (token: AccessToken) =>
    scope === undefined
      ? token.requestedScope === ''
      : missingScopes(scope, token.scope).length === 0;
  const others = otherAccessTokens.filter(
    (token: OtherAccessToken) => token.audience === audience && suffices(token),
  );
  // Fewer scopes than the sign-in's can't be had without a refresh token.
  const hasToDo = audience === undefined && refreshToken === undefined;
  return hasToDo && accessToken && suffices(accessToken) ? [...others, accessToken] : others;
}

function lasts({ expiresAt, issuedAt }: AccessToken, { now, leeway }: Moment): boolean {
  if (expiresAt === undefined) return true;
  return expiresAt - Math.min(leeway, (expiresAt - issuedAt) / 2) > now;
}
