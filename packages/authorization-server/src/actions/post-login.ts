import { randomUUID } from 'node:crypto';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Logger } from 'pino';
import type { Organizations } from '../claims/organizations.ts';
import { splitScope } from '../claims/scope-changes.ts';
import { sessionSeconds } from '../login/session-lifetime.ts';
import { errors } from '../oidc-provider.ts';
import type { StateStore } from '../state/memory.ts';
import type { Tenant, User } from '../tenant/tenant.ts';
import { apiOf } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';
import { RefreshTokenAdapter, shortenLifetime } from '../token/refresh-token.ts';
import type { ActionCache } from './cache.ts';
import {
  isoTime,
  type PostLoginEvent,
  refreshTokenFacts,
  requestFacts,
  sessionFacts,
  settableFacts,
  toPostLoginEvent,
  visibleParameters,
} from './login-event.ts';
import {
  type ActionOutcome,
  Outcomes,
  outcomeOf,
  type SecondStep,
  setOutcome,
  settleClaimScopes,
} from './login-outcome.ts';
import { type MetadataChanges, UserMetadata } from './metadata.ts';
import { newRedirectState, type Returned } from './redirects.ts';
import { type Resumption, runLogin } from './run-actions.ts';
import { EnrolledFactors, MFA_REQUIRED, type ProvedStep } from './second-step.ts';
import { afterUse, SessionTerms, type StoredTerms, withChanges } from './session-terms.ts';

interface PostLoginParts {
  readonly tenant: Tenant;
  readonly store: StateStore;
  readonly log: Logger;
  readonly organizations: Organizations;
  readonly users: Users;
  readonly caches: { readonly postLogin: ActionCache };
}

/** A sign-in between two of its pages: the outcome so far. The engine stores it as `result.actions`. */
interface PendingLogin extends ActionOutcome {
  readonly userId: string;
  /** `event.transaction.id`. */
  readonly transactionId: string;
  readonly state?: string;
}

/** The engine passes `result` from one page of a sign-in to the next. Its type is readonly. */
interface WritableResult {
  result?: Record<string, unknown>;
}

/** Facts about a run of the rules and Actions; after a pause, with the outcome before it. */
interface Run extends Partial<Resumption> {
  readonly protocol: Protocol;
  readonly transactionId?: string;
}

type Protocol = PostLoginEvent['transaction']['protocol'];

/** The number of a user's logins, with the times of the first and the latest. */
interface Logins {
  readonly count: number;
  readonly first: string;
  readonly latest: string;
}

const LOGINS = 'Logins';
/** Time by which facts of a session outlive it. */
const SPARE_SECONDS = 3600;

/** Auth0's text for a redirect when no user waits in a browser. */
export const EXTERNAL_INTERACTION = 'External interaction required';

/** Stores parameters of an authorization request for Actions, because the engine ignores unknown ones. */
export function storeUnknownParameters({ oidc, query }: KoaContextWithOIDC): void {
  if (oidc.route !== 'authorization') return;
  const writable = oidc as WritableResult;
  const unknown = Object.entries(query).filter(([name]) => !(name in (oidc.params ?? {})));
  if (unknown.length === 0) return;
  writable.result = { ...writable.result, query: visibleParameters(Object.fromEntries(unknown)) };
}

/** Runs rules and post-login Actions after sign-in and at a refresh; `outcomeOf` returns their outcome. */
export class PostLogin {
  readonly #parts: PostLoginParts;
  readonly #metadata: UserMetadata;
  readonly #enrolled: EnrolledFactors;
  readonly #sessions: SessionTerms;

  constructor(parts: PostLoginParts) {
    this.#parts = parts;
    this.#metadata = new UserMetadata(parts.store);
    this.#enrolled = new EnrolledFactors(parts.store);
    this.#sessions = new SessionTerms(parts.store);
  }

  /**
   * Runs the rules and Actions at a sign-in, and what is left of them after a redirect or a second step.
   *
   * @throws AccessDenied when a rule or Action denies or fails, and InteractionRequired when `prompt=none`
   * forbids a page.
   */
  async onAuthorization(ctx: KoaContextWithOIDC, user: User): Promise<void> {
    const oidc = ctx.oidc as WritableResult;
    const { actions, returned, proved, ...others } = oidc.result ?? {};
    const pending = actions as PendingLogin | undefined;
    const earlier = pending?.userId === user.user_id ? pending : undefined;
    if (earlier !== undefined && earlier.redirect === undefined && !earlier.steps?.length) {
      setOutcome(ctx, earlier);
      // The engine writes the session again from the sign-in each time the browser returns.
      recordMethods(ctx, earlier);
      return;
    }
    const resumption = earlier && resumptionOf(earlier, { returned, proved });
    const silent = splitScope(ctx.oidc.params?.prompt).includes('none');
    if (resumption === undefined && !silent) this.#countLogin(user);
    const protocol = ctx.oidc.entities.DeviceCode ? 'oauth2-device-code' : 'oidc-basic-profile';
    const transactionId = (resumption && earlier?.transactionId) ?? randomUUID();
    const run = { ...resumption, protocol, transactionId } as const;
    const outcome = await this.#run(ctx, user, run);
    const { redirect, steps } = outcome;
    if (steps?.length && silent) throw new errors.InteractionRequired(MFA_REQUIRED);
    const state = redirect && newRedirectState(this.#parts.store);
    const next: PendingLogin = {
      ...outcome,
      userId: user.user_id,
      transactionId,
      ...(state && { state }),
    };
    oidc.result = { ...others, actions: next };
    recordMethods(ctx, outcome);
  }

  /** Returns what the user must do before the login goes on: leave the server, or prove a factor. */
  pauseOf({
    oidc,
  }: KoaContextWithOIDC): { url: string; state: string } | { step: SecondStep } | undefined {
    const { redirect, state, steps } = (oidc.result?.actions ?? {}) as Partial<PendingLogin>;
    if (redirect && state) return { url: redirect.url, state };
    return steps?.[0] && { step: steps[0] };
  }

  /** @throws AccessDenied when a rule or Action denies or fails, another error when it needs the user. */
  async onRefresh(ctx: KoaContextWithOIDC, user: User): Promise<void> {
    const { redirect, steps } = await this.#run(ctx, user, { protocol: 'oauth2-refresh-token' });
    if (redirect !== undefined) {
      deny(ctx, EXTERNAL_INTERACTION);
      throw new errors.InteractionRequired(EXTERNAL_INTERACTION);
    }
    if (!steps?.length) return;
    deny(ctx, MFA_REQUIRED);
    const status = { status: 403, statusCode: 403 };
    throw Object.assign(new errors.CustomOIDCProviderError('mfa_required', MFA_REQUIRED), status);
  }

  async #run(ctx: KoaContextWithOIDC, user: User, run: Run): Promise<ActionOutcome> {
    const terms = this.#termsOf(ctx, run);
    const event = this.#toEvent(ctx, user, run, terms);
    Object.assign(event.request, run.returned?.request);
    const { tenant, log, caches } = this.#parts;
    const storeMetadata = (userId: string, changes: MetadataChanges): void => {
      if (this.#parts.users.find(userId) === undefined) throw new Error('no user has this id');
      this.#metadata.store(userId, changes);
    };
    const options = { log, cache: caches.postLogin, storeMetadata };
    const outcome = await runLogin(tenant, event, options, run);
    // A denial undoes no change of metadata that came before it.
    if (outcome.metadata !== undefined) this.#metadata.store(user.user_id, outcome.metadata);
    if (outcome.enrolled !== undefined) this.#enrolled.add(user.user_id, outcome.enrolled);
    await this.#applyTerms(ctx, outcome, terms.session);
    if (outcome.denied !== undefined) {
      deny(ctx, outcome.denied);
      throw new errors.AccessDenied(outcome.denied);
    }
    if (outcome.redirect !== undefined || outcome.steps?.length) return outcome;
    const { params, entities } = ctx.oidc;
    const settled = settleClaimScopes(outcome, event.transaction.requested_scopes, {
      api: apiOf(tenant, params?.resource ?? entities.RefreshToken?.resource),
      appMetadata: this.#metadata.applyTo(user).app_metadata,
    });
    const refreshTerms = withChanges(terms.refreshToken, outcome.refreshToken);
    setOutcome(ctx, { ...settled, refreshTerms });
    return { ...settled, refreshTerms };
  }

  /** Returns the stored facts of the session and the refresh token, with this use. */
  #termsOf(ctx: KoaContextWithOIDC, { protocol }: Run) {
    const { store, tenant } = this.#parts;
    const { entities } = ctx.oidc;
    const use = { ...requestFacts(ctx), ...settableFacts(tenant) };
    const refresh = protocol === 'oauth2-refresh-token';
    const grant = (refresh && entities.RefreshToken?.grantId) || '';
    const uid = sessionUidOf(ctx);
    const stored = uid === undefined ? undefined : this.#sessions.find(uid);
    return {
      session: refresh && stored ? stored : afterUse(stored, use),
      refreshToken: afterUse(new Outcomes(store).find(grant)?.refreshTerms, use),
    };
  }

  /** Applies and stores the changes that Actions made to the session and the refresh token. */
  async #applyTerms(
    ctx: KoaContextWithOIDC,
    { session: changes, refreshToken }: ActionOutcome,
    terms: StoredTerms,
  ): Promise<void> {
    const { tenant, store } = this.#parts;
    const { session, entities, provider } = ctx.oidc;
    const grantId = entities.RefreshToken?.grantId;
    if (refreshToken?.revoked && grantId !== undefined) {
      await new RefreshTokenAdapter(tenant, store).revokeByGrantId(grantId);
    }
    const uid = sessionUidOf(ctx);
    // Only Actions read these facts.
    if (uid === undefined || tenant.postLogin.length === 0) return;
    if (changes?.revoked) {
      if (!changes.revoked.preserveRefreshTokens) this.#sessions.revokeRefreshTokens(uid);
      // The engine may have given the session a new id in this request; the browser has the stored one.
      await (await provider.Session.findByUid(uid))?.destroy();
      await session?.destroy();
      return;
    }
    if (session === undefined && changes === undefined) return;
    const changed = withChanges(terms, changes);
    const { absolute } = sessionSeconds(tenant, session?.transient);
    this.#sessions.write(uid, changed, absolute + SPARE_SECONDS);
    if (session === undefined) {
      const stored = await provider.Session.findByUid(uid);
      await stored?.save(shortenLifetime(stored.exp - Math.floor(Date.now() / 1000), changed));
    } else if (changes?.cookieMode) session.transient = changes.cookieMode === 'non-persistent';
  }

  #toEvent(
    ctx: KoaContextWithOIDC,
    user: User,
    { protocol, transactionId }: Run,
    terms: Readonly<Record<'session' | 'refreshToken', StoredTerms>>,
  ): PostLoginEvent {
    const { tenant, organizations } = this.#parts;
    const { client, params = {}, session, entities } = ctx.oidc;
    const { RefreshToken: refreshToken } = entities;
    const refresh = protocol === 'oauth2-refresh-token';
    const loggedInAt = refresh ? refreshToken?.authTime : session?.authTime();
    const timestamp = isoTime(loggedInAt ?? 0);
    const methods = (refresh ? refreshToken?.amr : session?.amr) ?? [];
    const given = Object.fromEntries(
      Object.entries(params).filter(([, value]) => value !== undefined),
    );
    const { count, ...logins } = this.#loginsOf(user);
    return toPostLoginEvent(tenant, {
      user: this.#metadata.applyTo(user),
      enrolledFactors: this.#enrolled.factorsOf(user),
      logins,
      transactionId,
      clientId: client?.clientId ?? '',
      api: apiOf(tenant, params.resource ?? refreshToken?.resource),
      organization: organizations.organizationOf(ctx),
      protocol,
      scope: String(params.scope ?? refreshToken?.scope ?? ''),
      // Known parameters come first, because an event shows only so many.
      params: refresh ? {} : { ...given, ...(ctx.oidc.result?.query as object) },
      stats: { logins_count: count },
      authentication: { methods: methods.map((name) => ({ name, timestamp })) },
      ...(refresh
        ? refreshTokenFacts(tenant, refreshToken, terms.refreshToken)
        : sessionFacts(tenant, ctx, terms.session)),
      request: requestFacts(ctx),
    });
  }

  #countLogin(user: User): void {
    const { count, first } = this.#loginsOf(user);
    const latest = new Date().toISOString();
    this.#parts.store.write(LOGINS, user.user_id, { count: count + 1, first, latest });
  }

  #loginsOf({ user_id }: User): Logins {
    const now = new Date().toISOString();
    const stored = this.#parts.store.read(LOGINS, user_id)?.content as Logins | undefined;
    return { count: 0, first: now, latest: now, ...stored };
  }
}

/** Returns the engine's id of the session: the browser's, or at a refresh that of the sign-in. */
function sessionUidOf({ oidc }: KoaContextWithOIDC): string | undefined {
  return oidc.entities.RefreshToken?.sessionUid ?? oidc.session?.uid;
}

/** Returns how the run continues; undefined when the answer belongs to another pause. */
function resumptionOf(
  before: PendingLogin,
  answers: { readonly returned?: unknown; readonly proved?: unknown },
): Resumption | undefined {
  const returned = answers.returned as Returned | undefined;
  if (returned !== undefined && before.state === returned.state) return { before, returned };
  const proved = answers.proved as ProvedStep | undefined;
  if (proved !== undefined && proved.code === before.steps?.[0]?.code) return { before, proved };
  return undefined;
}

function deny(ctx: KoaContextWithOIDC, reason: string): void {
  setOutcome(ctx, { ...outcomeOf(ctx), denied: reason });
}

/** Adds the ways of authentication that Actions recorded to the session, for its next login. */
function recordMethods(ctx: KoaContextWithOIDC, { methods }: ActionOutcome): void {
  const { session } = ctx.oidc;
  if (methods === undefined || session === undefined) return;
  session.amr = [...new Set([...(session.amr ?? []), ...methods.map(({ name }) => name)])];
}
