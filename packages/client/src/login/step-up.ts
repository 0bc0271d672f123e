import { hasCode, InsufficientScope, OidcError } from '../errors.ts';
import type { AuthorizationParams } from '../oauth/authorization-endpoint.ts';
import { ACR_VALUES } from '../oauth/challenge.ts';
import {
  foreignScope,
  isScopeParameter,
  missingScopes,
  scopesOf,
  unionOfScopes,
} from '../oauth/scope.ts';
import type { CheckedOptions } from '../options/options.ts';
import type { SessionContent } from '../session/session.ts';

/** Requirement that a sign-in must meet. */
export interface SignInRequirement {
  /** Maximum seconds since the user last authenticated (`auth_time`); `clockTolerance` is added. */
  maxAge?: number | undefined;
  /** Values with spaces between them. The `acr` of the ID token must be one of them. */
  acr?: string | undefined;
  /** Scopes that must have been granted, with spaces between them. */
  scope?: string | undefined;
}

/**
 * Error for a sign-in that is too old or too weak (`ERR_STEP_UP_REQUIRED`, 401). The user must
 * authenticate again: `requiresAuth()` redirects pages to the sign-in, elsewhere the app can offer it.
 *
 * @example
 * if (hasCode(error, 'ERR_STEP_UP_REQUIRED')) {
 *   await ctx.oidc.login({ ...ctx.oidc.stepUp(error), returnTo: '/payments' });
 * }
 */
export class StepUpRequired extends OidcError {
  override readonly name = 'StepUpRequired';
  /** Requirements that were not met, and the missing scopes. */
  readonly requirement: Readonly<SignInRequirement>;

  constructor(requirement: SignInRequirement) {
    const unmet = Object.keys(requirement).join(', ');
    super('ERR_STEP_UP_REQUIRED', { detail: `the sign-in does not meet: ${unmet}` });
    this.requirement = requirement;
  }
}

/** Parameters of a sign-in that requests more than the last one. */
export interface StepUpParams {
  authorizationParams?: AuthorizationParams | undefined;
  /** Scopes to request in addition to the configured ones, and to those requested or granted so far. */
  scope?: string | undefined;
}

/** Time from a sign-in until the page is requested again; a shorter age can end on the way. */
const RETURN_SECONDS = 30;
/** Ends the chain of sign-ins with an API that requires new scopes each time. */
const MAX_ADDED_SCOPES = 20;

/** Step-up: decides whether a sign-in meets a requirement, and which new one would. */
export class StepUp {
  readonly #options: CheckedOptions;

  constructor(options: CheckedOptions) {
    this.#options = options;
  }

  /** Checks that the sign-in meets a requirement. @throws as `ctx.oidc.require()` does */
  judge(content: SessionContent | undefined, requirement: SignInRequirement): void {
    const faults = requirementFaults(requirement);
    if (faults.length > 0) throw new TypeError(faults.join('; '));
    const { maxAge, acr, scope } = requirement;
    if (!content) throw new OidcError('ERR_LOGIN_REQUIRED');
    const { claims, accessToken } = content;
    // Without a token the granted scopes are unknown.
    if (scope && !accessToken) throw new OidcError('ERR_LOGIN_REQUIRED');
    const missing = missingScopes(scope ?? '', accessToken?.scope ?? '').join(' ');
    const unmet: SignInRequirement = {};
    if (maxAge !== undefined && !this.#isRecent(claims.auth_time, maxAge)) unmet.maxAge = maxAge;
    if (acr !== undefined && !isAmong(claims.acr, acr)) unmet.acr = acr;
    if (Object.keys(unmet).length > 0) {
      throw new StepUpRequired({ ...unmet, ...(missing && { scope: missing }) });
    }
    if (missing) throw new InsufficientScope(missing);
  }

  /** Returns the sign-in that can prevent this error; undefined if none can, or if it was tried. */
  paramsFor(error: unknown, content: SessionContent | undefined): StepUpParams | undefined {
    if (hasCode(error, 'ERR_LOGIN_REQUIRED')) return content ? { scope: '' } : {};
    if (!content) return undefined;
    if (hasCode(error, 'ERR_STEP_UP_REQUIRED')) {
      const { maxAge, acr, scope } = (error as StepUpRequired).requirement;
      const wasAcrTried = acr === undefined || acr === content.requestedAcr;
      if (wasAcrTried && (maxAge === undefined || this.#wasAgeTried(content, maxAge))) {
        return undefined;
      }
      const authorizationParams = {
        ...(maxAge !== undefined && { max_age: maxAge }),
        ...(acr !== undefined && { acr_values: acr }),
      };
      return { authorizationParams, scope: this.#scopesToRequest(scope ?? '', content) ?? '' };
    }
    if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) return undefined;
    const { scope: needed } = error as { scope?: unknown };
    const scope = typeof needed === 'string' ? this.#scopesToRequest(needed, content) : undefined;
    return scope === undefined ? undefined : { scope };
  }

  /** Returns the configured scopes, those requested or granted so far, and these. */
  union(content: SessionContent | undefined, ...scopes: (string | undefined)[]): string {
    const { requestedScope, accessToken } = content ?? {};
    return unionOfScopes(
      this.#options.authorizationParams.scope,
      requestedScope,
      accessToken?.scope,
      ...scopes,
    );
  }

  /** Reports whether the sign-in requested this age and is that recent, but the API does not see it. */
  #wasAgeTried(
    { claims: { auth_time }, requestedMaxAge }: SessionContent,
    maxAge: number,
  ): boolean {
    if (requestedMaxAge === undefined || requestedMaxAge > maxAge) return false;
    if (!this.#isRecent(auth_time, maxAge)) return false;
    const age = this.#options.seconds() - Number(auth_time);
    return age <= Math.max(maxAge, RETURN_SECONDS);
  }

  #isRecent(authTime: unknown, maxAge: number): boolean {
    const { seconds, clockTolerance } = this.#options;
    return typeof authTime === 'number' && seconds() - authTime <= maxAge + clockTolerance;
  }

  #scopesToRequest(needed: string, content: SessionContent): string | undefined {
    // Only the app may request a refresh token, with `offline_access` in its options.
    const scopes = [...scopesOf(foreignScope(needed))].filter((one) => one !== 'offline_access');
    const scope = scopes.join(' ');
    // The same request again would not be granted either.
    if (missingScopes(scope, content.requestedScope).length === 0) return undefined;
    const added = missingScopes(
      this.union(content, scope),
      this.#options.authorizationParams.scope,
    );
    return added.length <= MAX_ADDED_SCOPES ? scope : undefined;
  }
}

function isAmong(value: unknown, words: string): boolean {
  return typeof value === 'string' && words.split(' ').includes(value);
}

const REQUIREMENT_NAMES = ['maxAge', 'acr', 'scope'];

/** Returns a sentence for each fault of a requirement. A misspelled name would require nothing. */
export function requirementFaults(requirement: SignInRequirement): string[] {
  const { maxAge, acr, scope } = requirement;
  const faults: string[] = [];
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0)) {
    faults.push('maxAge must be a whole number of seconds, 0 or more');
  }
  if (acr !== undefined && !(typeof acr === 'string' && ACR_VALUES.test(acr))) {
    faults.push('acr must be values with one space between them');
  }
  if (scope !== undefined && !(isScopeParameter(scope) && scopesOf(scope).size > 0)) {
    faults.push('scope must be scopes with spaces between them');
  }
  const unknown = Object.keys(requirement).filter((name) => !REQUIREMENT_NAMES.includes(name));
  if (unknown.length > 0) faults.push(`unknown: ${unknown.join(', ')}`);
  return faults;
}
