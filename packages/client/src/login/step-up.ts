import { hasCode, InsufficientScope, OidcError } from '../errors.ts';
import type { AuthorizationParams } from '../oauth/authorization-endpoint.ts';
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
  /** Seconds since the user last proved who they are (`auth_time`), `clockTolerance` added. */
  maxAge?: number;
  /** The `acr` that the ID token must have: one of these, with spaces between them. */
  acr?: string;
  /** Scopes that must have been granted, with spaces between them. */
  scope?: string;
}

/**
 * The sign-in is too old, or was too weak (`ERR_STEP_UP_REQUIRED`, 401): the user has to prove again
 * who they are. `requiresAuth()` has pages sign in again; elsewhere the app may offer it.
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

/** Parameters of a sign-in that asks for more than the one before. */
export interface StepUpParams {
  authorizationParams?: AuthorizationParams;
  /** Scopes to ask for in addition to those configured, asked for and granted so far. */
  scope?: string;
}

/** Ends the chain of sign-ins when an API names new scopes each time. */
const MAX_ADDED_SCOPES = 20;

/** Step-up: decides which sign-in is not enough, and which one would be. */
export class StepUp {
  readonly #options: CheckedOptions;

  constructor(options: CheckedOptions) {
    this.#options = options;
  }

  /** Returns when the sign-in meets a requirement. @throws as `ctx.oidc.require()` does */
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

  /** Returns the sign-in that may help against this error; undefined when none can, or it was tried. */
  paramsFor(error: unknown, content: SessionContent | undefined): StepUpParams | undefined {
    if (hasCode(error, 'ERR_LOGIN_REQUIRED')) return content ? { scope: '' } : {};
    if (!content) return undefined;
    if (hasCode(error, 'ERR_STEP_UP_REQUIRED')) {
      const { maxAge, acr, scope } = (error as StepUpRequired).requirement;
      if (acr !== undefined && acr === content.requestedAcr) return undefined;
      const authorizationParams = {
        ...(maxAge !== undefined && { max_age: maxAge }),
        ...(acr !== undefined && { acr_values: acr }),
      };
      return { authorizationParams, scope: this.#scopesToAskFor(scope ?? '', content) ?? '' };
    }
    if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) return undefined;
    const { scope: needed } = error as { scope?: unknown };
    const scope = typeof needed === 'string' ? this.#scopesToAskFor(needed, content) : undefined;
    return scope === undefined ? undefined : { scope };
  }

  /** Returns the scopes configured, asked for and granted so far, and these. */
  union(content: SessionContent | undefined, ...scopes: (string | undefined)[]): string {
    const { requestedScope, accessToken } = content ?? {};
    return unionOfScopes(
      this.#options.authorizationParams.scope,
      requestedScope,
      accessToken?.scope,
      ...scopes,
    );
  }

  #isRecent(authTime: unknown, maxAge: number): boolean {
    const { now, clockTolerance } = this.#options;
    return typeof authTime === 'number' && now() / 1000 - authTime <= maxAge + clockTolerance;
  }

  #scopesToAskFor(needed: string, content: SessionContent): string | undefined {
    // A refresh token is for the app to ask for (`offline_access` in its own settings).
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
const WORDS = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/;

/** Returns a sentence for each fault of a requirement: a misspelt name would let anyone in. */
export function requirementFaults(requirement: SignInRequirement): string[] {
  const { maxAge, acr, scope } = requirement;
  const faults: string[] = [];
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0)) {
    faults.push('maxAge must be a whole number of seconds, 0 or more');
  }
  if (acr !== undefined && !(typeof acr === 'string' && WORDS.test(acr))) {
    faults.push('acr must be values with one space between them');
  }
  if (scope !== undefined && !(isScopeParameter(scope) && scopesOf(scope).size > 0)) {
    faults.push('scope must be scopes with spaces between them');
  }
  const unknown = Object.keys(requirement).filter((name) => !REQUIREMENT_NAMES.includes(name));
  if (unknown.length > 0) faults.push(`unknown: ${unknown.join(', ')}`);
  return faults;
}
