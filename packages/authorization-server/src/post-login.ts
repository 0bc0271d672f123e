import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Logger } from 'pino';
import { type ActionOutcome, NOTHING, type PostLoginEvent, runPostLogin } from './actions.ts';
import { apiOf } from './audience.ts';
import { errors } from './engine.ts';
import { toPostLoginEvent } from './login-event.ts';
import type { Organizations } from './organizations.ts';
import { requestOf } from './request-facts.ts';
import { runRules } from './rules.ts';
import type { StateStore } from './state-store.ts';
import type { Tenant, User } from './tenant.ts';

/**
 * Runs the rules and post-login Actions at their two moments and carries what they made of the login
 * to the tokens: after sign-in and before consent, and again at every refresh.
 */
export interface PostLogin {
  /** After sign-in. @throws AccessDenied when a rule or an Action denies or fails. */
  onAuthorization(ctx: KoaContextWithOIDC, user: User): Promise<void>;
  /** At a refresh. @throws AccessDenied as above. */
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

const KIND = 'ActionOutcome';
const DAYS_30 = 2_592_000;
const LOGINS = 'Logins';

export function createPostLogin(
  tenant: Tenant,
  store: StateStore,
  log: Logger,
  organizations: Organizations,
): PostLogin {
  const outcomes = new WeakMap<object, ActionOutcome>();
  const denials = new WeakMap<object, string>();
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
      user,
      clientId: client?.clientId ?? '',
      api: apiOf(tenant, params.resource ?? refreshToken?.resource),
      organization: organizations.of(ctx),
      protocol,
      scope: String(params.scope ?? refreshToken?.scope ?? ''),
      params: refresh ? {} : { ...params },
      loginsCount: loginsOf(user),
      methods: methods.map((name) => ({ name, timestamp })),
      request: requestOf(ctx),
    });
  };

  const run = async (
    ctx: KoaContextWithOIDC,
    user: User,
    protocol: PostLoginEvent['transaction']['protocol'],
  ): Promise<ActionOutcome> => {
    const event = toEvent(ctx, user, protocol);
    const afterRules = await runRules(tenant.loginRules, event, log);
    const outcome = await runPostLogin(tenant.postLogin, event, log, { afterRules });
    if (outcome.denied !== undefined) {
      denials.set(ctx, outcome.denied);
      throw new errors.AccessDenied(outcome.denied);
    }
    outcomes.set(ctx, outcome);
    return outcome;
  };

  return {
    async onAuthorization(ctx, user) {
      // What the engine hands from one page of the transaction to the next; not assignable by type.
      const carrier = ctx.oidc as { result?: Record<string, unknown> };
      const earlier = carrier.result?.actions as (ActionOutcome & { userId: string }) | undefined;
      if (earlier?.userId === user.user_id) {
        outcomes.set(ctx, earlier);
        return;
      }
      store.write(LOGINS, user.user_id, { count: loginsOf(user) + 1 });
      const outcome = await run(ctx, user, 'oidc-basic-profile');
      carrier.result = { ...carrier.result, actions: { ...outcome, userId: user.user_id } };
    },
    async onRefresh(ctx, user) {
      await run(ctx, user, 'oauth2-refresh-token');
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
      const last = { userId: source.accountId, clientId: source.clientId ?? '' };
      store.write(KIND, idOfLast(last), outcome, DAYS_30);
      if (source.grantId !== undefined) store.write(KIND, source.grantId, outcome, DAYS_30);
    },
    outcome: (ctx) => outcomes.get(ctx) ?? NOTHING,
    denial: (ctx) => denials.get(ctx),
  };
}
