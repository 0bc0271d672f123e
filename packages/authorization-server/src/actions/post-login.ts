import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Logger } from 'pino';
import type { Organizations } from '../claims/organizations.ts';
import { errors } from '../oidc-provider.ts';
import type { StateStore } from '../state/file.ts';
import type { Tenant, User } from '../tenant/tenant.ts';
import { apiOf } from '../tenant/tenant.ts';
import type { ActionCache } from './cache.ts';
import {
  type PostLoginEvent,
  refreshTokenFacts,
  requestFacts,
  sessionFacts,
  toPostLoginEvent,
} from './login-event.ts';
import { type ActionOutcome, outcomeOf, setOutcome, settleClaimScopes } from './login-outcome.ts';
import { UserMetadata } from './metadata.ts';
import { newRedirectState, type Returned } from './redirects.ts';
import { type Resumption, runLogin } from './run-actions.ts';

interface PostLoginParts {
  readonly tenant: Tenant;
  readonly store: StateStore;
  readonly log: Logger;
  readonly organizations: Organizations;
  readonly caches: { readonly postLogin: ActionCache };
}

/** The outcome that goes from one page of a sign-in to the next. */
interface Carried extends ActionOutcome {
  readonly userId: string;
  readonly state?: string;
}

type Protocol = PostLoginEvent['transaction']['protocol'];

const LOGINS = 'Logins';

/** Auth0's text for a redirect when no user waits in a browser. */
export const EXTERNAL_INTERACTION = 'External interaction required';

/** Runs rules and post-login Actions after sign-in and at a refresh; `outcomeOf` returns their outcome. */
export class PostLogin {
  readonly #parts: PostLoginParts;
  readonly #metadata: UserMetadata;

  constructor(parts: PostLoginParts) {
    this.#parts = parts;
    this.#metadata = new UserMetadata(parts.store);
  }

  /** Runs again when the user returns from a redirect. @throws AccessDenied when one denies or fails. */
  async onAuthorization(ctx: KoaContextWithOIDC, user: User): Promise<void> {
    // The engine passes `result` from one page of the transaction to the next; its type is readonly.
    const carrier = ctx.oidc as { result?: Record<string, unknown> };
    const { actions, returned, ...others } = carrier.result ?? {};
    const carried = actions as Carried | undefined;
    const earlier = carried?.userId === user.user_id ? carried : undefined;
    if (earlier !== undefined && earlier.redirect === undefined) {
      setOutcome(ctx, earlier);
      // The engine writes the session again from the sign-in each time the browser returns.
      recordMethods(ctx, earlier);
      return;
    }
    const redirectAnswer = returned as Returned | undefined;
    const resumption =
      redirectAnswer !== undefined && earlier?.state === redirectAnswer.state
        ? { before: earlier, returned: redirectAnswer }
        : undefined;
    if (resumption === undefined) this.#countLogin(user);
    const protocol = ctx.oidc.entities.DeviceCode ? 'oauth2-device-code' : 'oidc-basic-profile';
    const outcome = await this.#run(ctx, user, protocol, resumption);
    const { redirect } = outcome;
    const state = redirect && newRedirectState(this.#parts.store);
    const next: Carried = { ...outcome, userId: user.user_id, ...(state && { state }) };
    carrier.result = { ...others, actions: next };
    recordMethods(ctx, outcome);
  }

  redirectOf({ oidc }: KoaContextWithOIDC): { url: string; state: string } | undefined {
    const { redirect, state } = (oidc.result?.actions ?? {}) as Partial<Carried>;
    return redirect && state ? { url: redirect.url, state } : undefined;
  }

  /** @throws AccessDenied when one denies or fails, InteractionRequired when one redirects. */
  async onRefresh(ctx: KoaContextWithOIDC, user: User): Promise<void> {
    const { redirect } = await this.#run(ctx, user, 'oauth2-refresh-token');
    if (redirect === undefined) return;
    deny(ctx, EXTERNAL_INTERACTION);
    throw new errors.InteractionRequired(EXTERNAL_INTERACTION);
  }

  async #run(
    ctx: KoaContextWithOIDC,
    user: User,
    protocol: Protocol,
    resumption?: Resumption,
  ): Promise<ActionOutcome> {
    const event = this.#toEvent(ctx, user, protocol);
    Object.assign(event.request, resumption?.returned.request);
    const { tenant, log, caches } = this.#parts;
    const outcome = await runLogin(tenant, event, { log, cache: caches.postLogin }, resumption);
    // A denial undoes no change of metadata that came before it.
    if (outcome.metadata !== undefined) this.#metadata.store(user.user_id, outcome.metadata);
    if (outcome.denied !== undefined) {
      deny(ctx, outcome.denied);
      throw new errors.AccessDenied(outcome.denied);
    }
    if (outcome.redirect !== undefined) return outcome;
    const { params, entities } = ctx.oidc;
    const settled = settleClaimScopes(outcome, event.transaction.requested_scopes, {
      api: apiOf(tenant, params?.resource ?? entities.RefreshToken?.resource),
      appMetadata: this.#metadata.applyTo(user).app_metadata,
    });
    setOutcome(ctx, settled);
    return settled;
  }

  #toEvent(ctx: KoaContextWithOIDC, user: User, protocol: Protocol): PostLoginEvent {
    const { tenant, organizations } = this.#parts;
    const { client, params = {}, session, entities } = ctx.oidc;
    const { RefreshToken: refreshToken } = entities;
    const refresh = protocol === 'oauth2-refresh-token';
    const loggedInAt = refresh ? refreshToken?.authTime : session?.authTime();
    const timestamp = new Date((loggedInAt ?? 0) * 1000).toISOString();
    const methods = (refresh ? refreshToken?.amr : session?.amr) ?? [];
    return toPostLoginEvent(tenant, {
      user: this.#metadata.applyTo(user),
      clientId: client?.clientId ?? '',
      api: apiOf(tenant, params.resource ?? refreshToken?.resource),
      organization: organizations.organizationOf(ctx),
      protocol,
      scope: String(params.scope ?? refreshToken?.scope ?? ''),
      params: refresh ? {} : { ...params },
      stats: { logins_count: this.#loginsOf(user) },
      authentication: { methods: methods.map((name) => ({ name, timestamp })) },
      ...(refresh ? refreshTokenFacts(tenant, refreshToken) : sessionFacts(ctx)),
      request: requestFacts(ctx),
    });
  }

  #countLogin(user: User): void {
    this.#parts.store.write(LOGINS, user.user_id, { count: this.#loginsOf(user) + 1 });
  }

  #loginsOf({ user_id }: User): number {
    return Number(this.#parts.store.read(LOGINS, user_id)?.content.count ?? 0);
  }
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
