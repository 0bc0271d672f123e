import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { isClaimScope, writeClaim } from '../claims/custom-claims.ts';
import { removeScope, type ScopeChanges } from '../claims/scope-changes.ts';
import { sourceOf } from '../endpoints.ts';
import type { StateStore } from '../state/memory.ts';
import type { Api } from '../tenant/tenant.ts';
import type { MetadataChanges, TransactionMetadata } from './metadata.ts';
import type { StoredTerms, TermChanges } from './session-terms.ts';

/** One proof of identity that a user gave, and its time (ISO 8601). */
export interface AuthenticationMethod {
  readonly name: string;
  readonly timestamp: string;
}

export interface Redirect {
  /** The target; `state` is added when the user goes there. */
  readonly url: string;
  /** The Action that redirects, with its index; undefined for a redirect by the rules. */
  readonly action?: { readonly index: number; readonly name: string } | undefined;
}

/** A second factor that the user must prove (challenge) or set up (enroll) before the login goes on. */
export interface SecondStep {
  readonly kind: 'challenge' | 'enroll';
  /** Types of factors, of which the user uses one. */
  readonly factors: readonly string[];
  /** The code that the user types. */
  readonly code: string;
  /** The Action after which the run goes on; undefined when all have run. */
  readonly after?: { readonly index: number; readonly name: string } | undefined;
}

/** Result of all rules and post-login Actions for one login. */
export interface ActionOutcome {
  readonly accessToken: Readonly<Record<string, unknown>>;
  /** Custom claims of the ID token and of the userinfo answer. */
  readonly idToken: Readonly<Record<string, unknown>>;
  readonly scope?: ScopeChanges;
  readonly metadata?: MetadataChanges;
  readonly transaction?: TransactionMetadata;
  readonly methods?: readonly AuthenticationMethod[];
  /** The requested second factors that are not proved yet, in their order. */
  readonly steps?: readonly SecondStep[];
  /** Factors that were proved in this login. */
  readonly proved?: readonly string[];
  /** Factors that were set up in this login. */
  readonly enrolled?: readonly string[];
  /** A second factor to request when all Actions have run. */
  readonly multifactor?: { readonly remember: boolean };
  readonly session?: TermChanges;
  readonly refreshToken?: TermChanges;
  /** Facts of the refresh token, stored with its grant. */
  readonly refreshTerms?: StoredTerms;
  /** Address that the user must visit before the login goes on. */
  readonly redirect?: Redirect;
  /** Reason of a refusal; undefined when the login goes on. */
  readonly denied?: string;
}

/** A writable outcome, which the methods of the `api` change. */
export type PostLoginDraft = {
  -readonly [Member in keyof ActionOutcome]: ActionOutcome[Member];
} & Record<'accessToken' | 'idToken', Record<string, unknown>>;

export const NO_OUTCOME: ActionOutcome = { accessToken: {}, idToken: {} };

const KIND = 'ActionOutcome';
const LIFETIME_SECONDS = 30 * 24 * 60 * 60;

export function outcomeOf({ state }: Pick<KoaContextWithOIDC, 'state'>): ActionOutcome {
  return (state.actionOutcome as ActionOutcome | undefined) ?? NO_OUTCOME;
}

/** Sets what `outcomeOf` returns for the rest of this request. */
export function setOutcome(
  { state }: Pick<KoaContextWithOIDC, 'state'>,
  outcome: ActionOutcome,
): void {
  state.actionOutcome = outcome;
}

/** Outcomes of logins, stored for the tokens that come from them. */
export class Outcomes {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  /** @param id a grant's, or `loginId` for the user's last login with a client. */
  find(id: string): ActionOutcome | undefined {
    return this.#store.read(KIND, id)?.content as ActionOutcome | undefined;
  }

  /** Sets what `outcomeOf` returns to a stored outcome, if there is one. */
  load(ctx: KoaContextWithOIDC, id: string): void {
    const stored = this.find(id);
    if (stored !== undefined) setOutcome(ctx, stored);
  }

  store(ctx: Context): void {
    const { accountId: userId, clientId = '', grantId } = sourceOf(ctx) ?? {};
    const outcome = outcomeOf(ctx);
    if (outcome === NO_OUTCOME || outcome.denied !== undefined || userId === undefined) return;
    const { accessToken, idToken, scope, refreshTerms } = outcome;
    for (const id of [loginId(userId, clientId), grantId]) {
      if (id === undefined) continue;
      const stored = { accessToken, idToken, scope, refreshTerms };
      this.#store.write(KIND, id, stored, LIFETIME_SECONDS);
    }
  }
}

export function storeOutcome(outcomes: Outcomes): Middleware {
  return async function storeOutcome(ctx: Context, next: Next) {
    await next();
    outcomes.store(ctx);
  };
}

/**
 * Gives the claims requested by scope, and set by no Action, the value of that name in `app_metadata`.
 * Without one they leave the scope. Auth0 ignores such scopes: there only an Action makes the claim.
 */
export function settleClaimScopes(
  outcome: ActionOutcome,
  requestedScopes: readonly string[],
  { api, appMetadata }: { api: Api | undefined; appMetadata: Readonly<Record<string, unknown>> },
): ActionOutcome {
  const accessToken = { ...outcome.accessToken };
  const idToken = { ...outcome.idToken };
  let { scope } = outcome;
  for (const name of requestedScopes) {
    if (!isClaimScope(name, api)) continue;
    if (!(name in accessToken || name in idToken) && Object.hasOwn(appMetadata, name)) {
      writeClaim(accessToken, 'accessToken', name, appMetadata[name]);
      writeClaim(idToken, 'idToken', name, appMetadata[name]);
    }
    if (!(name in accessToken || name in idToken)) scope = removeScope(scope, name);
  }
  return { ...outcome, accessToken, idToken, ...(scope && { scope }) };
}

export function loginId(userId: string, clientId: string): string {
  return JSON.stringify([userId, clientId]);
}
