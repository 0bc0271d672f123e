import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Logger } from 'pino';
import { settleClaimScopes } from '../claims/claim-scopes.ts';
import type { Organizations } from '../claims/organizations.ts';
import { errors } from '../oidc-provider.ts';
import type { StateStore } from '../state/file.ts';
import { apiOf } from '../tenant/resource-servers.ts';
import type { Tenant, User } from '../tenant/tenant.ts';
import { type ActionCache, createActionCache } from './cache.ts';
import { type PostLoginEvent, toPostLoginEvent } from './login-event.ts';
import { type ActionOutcome, NOTHING } from './login-outcome.ts';
import type { Returned } from './post-login-api.ts';
import { newRedirectState, type RedirectStart } from './redirects.ts';
import { requestOf } from './request-facts.ts';
import { runPostLogin } from './run-actions.ts';
import { runRules } from './run-rules.ts';
import { refreshTokenFacts, sessionFacts } from './session-facts.ts';
import { createUserMetadata } from './user-metadata.ts';

/**
 * Runs the rules and post-login Actions at their two moments and carries what they made of the login
 * to the tokens: after sign-in and before consent, and again at every refresh.
 */
export interface PostLogin {
  /**
   * After sign-in, and again when the user is back from where an Action or a rule sent them.
   *
   * @returns where the user is to go before the login goes on; undefined when it goes on.
   * @throws AccessDenied when a rule or an Action denies or fails.
   */
  onAuthorization(ctx: KoaContextWithOIDC, user: User): Promise<RedirectStart | undefined>;
  /** At a refresh. @throws AccessDenied as above, InteractionRequired for a redirect. */
  onRefresh(ctx: KoaContextWithOIDC, user: User): Promise<void>;
  /** Fetches what was kept for the grant of a code, or for the last login with a client. */
  recall(ctx: KoaContextWithOIDC, from: { grantId: string } | LastLogin): void;
  /** Keeps the outcome of an authorization or a refresh that succeeded. */
  keep(ctx: KoaContextWithOIDC): void;
  outcome(ctx: KoaContextWithOIDC): ActionOutcome;
  /** Why this request's run of the rules and Actions denied; undefined when it did not. */
  denial(ctx: KoaContextWithOIDC): string | undefined;
}

interface LastLogin {
  readonly userId: string;
  readonly clientId: string;
}

/** What goes from one page of a sign-in to the next. */
interface Carried extends ActionOutcome {
  readonly userId: string;
  /** Of the redirect. */
  readonly state?: string;
}

/** What brought the user back from a redirect. */
interface Back {
  readonly before: ActionOutcome;
  readonly returned: Returned;
}

const KIND = 'ActionOutcome';
const DAYS_30 = 2_592_000;
const LOGINS = 'Logins';

/** Auth0's text for a redirect where there is no user before a browser. */
export const EXTERNAL_INTERACTION = 'External interaction required';

export function createPostLogin(
  tenant: Tenant,
  store: StateStore,
  log: Logger,
  organizations: Organizations,
  cache: ActionCache = createActionCache(),
): PostLogin {
  const outcomes = new WeakMap<object, ActionOutcome>();
  const denials = new WeakMap<object, string>();
  const userMetadata = createUserMetadata(store);
  const idOfLast = ({ userId, clientId }: LastLogin): string => JSON.stringify([userId, clientId]);

  const loginsOf = (user: User): number =>
    Number(store.read(LOGINS, user.user_id)?.content.count ?? 0);

  const toEvent = (
    ctx: KoaContextWithOIDC,
    user: User,
    protocol: PostLoginEvent['transaction']['protocol'],
  ): PostLoginEvent => {
    const { client, params = {}, session, entities } = ctx.oidc;
    const { RefreshToken: refreshToken } = entities;
    const refresh = protocol === 'oauth2-refresh-token';
    const loggedInAt = refresh ? refreshToken?.authTime : session?.authTime();
    const timestamp = new Date((loggedInAt ?? 0) * 1000).toISOString();
    const methods = (refresh ? refreshToken?.amr : session?.amr) ?? [];
    return toPostLoginEvent(tenant, {
      user: userMetadata.of(user),
      clientId: client?.clientId ?? '',
      api: apiOf(tenant, params.resource ?? refreshToken?.resource),
      organization: organizations.of(ctx),
      protocol,
      scope: String(params.scope ?? refreshToken?.scope ?? ''),
      params: refresh ? {} : { ...params },
      loginsCount: loginsOf(user),
      methods: methods.map((name) => ({ name, timestamp })),
      session: refresh ? undefined : sessionFacts(ctx),
      refreshToken: refresh ? refreshTokenFacts(tenant, refreshToken) : undefined,
      request: requestOf(ctx),
    });
  };

  const runAll = async (
    event: PostLoginEvent,
    interactive: boolean,
    back: Back | undefined,
  ): Promise<ActionOutcome> => {
    const { before, returned } = back ?? {};
    const rules = tenant.loginRules.map(({ name }) => name);
    const parts = { rules, cache, interactive };
    if (before?.redirect?.action !== undefined) {
      return runPostLogin(tenant.postLogin, event, log, { ...parts, before, returned });
    }
    const options = { returned: returned !== undefined };
    const afterRules = await runRules(tenant.loginRules, event, log, options);
    if (afterRules.redirect !== undefined) return afterRules;
    return runPostLogin(tenant.postLogin, event, log, { ...parts, before: afterRules });
  };

  const run = async (
    ctx: KoaContextWithOIDC,
    user: User,
    protocol: PostLoginEvent['transaction']['protocol'],
    back?: Back,
  ): Promise<ActionOutcome> => {
    const event = toEvent(ctx, user, protocol);
    if (back !== undefined) {
      Object.assign(event.request, back.returned.request);
    }
    const interactive = protocol !== 'oauth2-refresh-token' && event.transaction.prompt !== 'none';
    const outcome = await runAll(event, interactive, back);
    // A denial takes nothing back of what was written until then.
    if (outcome.metadata !== undefined) userMetadata.keep(user.user_id, outcome.metadata);
    if (outcome.denied !== undefined) {
      denials.set(ctx, outcome.denied);
      throw new errors.AccessDenied(outcome.denied);
    }
    if (outcome.redirect !== undefined) return outcome;
    const { requested_scopes: requested } = event.transaction;
    const settled = settleClaimScopes(outcome, requested, {
      api: apiOf(tenant, ctx.oidc.params?.resource ?? ctx.oidc.entities.RefreshToken?.resource),
      appMetadata: userMetadata.of(user).app_metadata,
    });
    outcomes.set(ctx, settled);
    return settled;
  };

  return {
    async onAuthorization(ctx, user) {
      // What the engine hands from one page of the transaction to the next; not assignable by type.
      const carrier = ctx.oidc as { result?: Record<string, unknown> };
      const { actions, returned, ...others } = carrier.result ?? {};
      const earlier =
        (actions as Carried | undefined)?.userId === user.user_id
          ? (actions as Carried)
          : undefined;
      if (earlier !== undefined && earlier.redirect === undefined) {
        outcomes.set(ctx, earlier);
        // The engine writes the session anew from the sign-in each time the browser comes back.
        recordMethods(ctx, earlier);
        return undefined;
      }
      const back = returned as Returned | undefined;
      const isBack = back !== undefined && earlier !== undefined && back.state === earlier.state;
      if (!isBack) store.write(LOGINS, user.user_id, { count: loginsOf(user) + 1 });
      const outcome = await run(
        ctx,
        user,
        'oidc-basic-profile',
        isBack ? { before: earlier, returned: back } : undefined,
      );
      const { redirect } = outcome;
      const state = redirect && newRedirectState(store);
      const carried = { ...outcome, userId: user.user_id, ...(state && { state }) };
      carrier.result = { ...others, actions: carried };
      recordMethods(ctx, outcome);
      return redirect && state ? { url: redirect.url, state } : undefined;
    },
    async onRefresh(ctx, user) {
      const { redirect } = await run(ctx, user, 'oauth2-refresh-token');
      if (redirect !== undefined) {
        denials.set(ctx, EXTERNAL_INTERACTION);
        throw new errors.InteractionRequired(EXTERNAL_INTERACTION);
      }
    },
    recall(ctx, from) {
      const id = 'grantId' in from ? from.grantId : idOfLast(from);
      const kept = store.read(KIND, id)?.content;
      if (kept !== undefined) outcomes.set(ctx, kept as unknown as ActionOutcome);
    },
    keep(ctx) {
      const outcome = outcomes.get(ctx);
      const { AuthorizationCode: code, RefreshToken: refreshToken } = ctx.oidc.entities;
      const source = code ?? refreshToken;
      if (outcome === undefined || source?.accountId === undefined) return;
      const { accessToken, idToken, scope } = outcome;
      const kept = { accessToken, idToken, scope };
      const last = { userId: source.accountId, clientId: source.clientId ?? '' };
      store.write(KIND, idOfLast(last), kept, DAYS_30);
      if (source.grantId !== undefined) store.write(KIND, source.grantId, kept, DAYS_30);
    },
    outcome: (ctx) => outcomes.get(ctx) ?? NOTHING,
    denial: (ctx) => denials.get(ctx),
  };
}

/** Keeps in the session what Actions recorded: it is known at the session's next login. */
function recordMethods(ctx: KoaContextWithOIDC, { methods }: ActionOutcome): void {
  const { session } = ctx.oidc;
  if (methods === undefined || session === undefined) return;
  session.amr = [...new Set([...(session.amr ?? []), ...methods.map(({ name }) => name)])];
}
