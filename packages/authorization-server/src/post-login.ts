import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Logger } from 'pino';
import { type ActionOutcome, type PostLoginEvent, runPostLogin } from './actions.ts';
import { apiOf } from './audience.ts';
import { errors } from './engine.ts';
import type { StateStore } from './state-store.ts';
import { findApplication, type Tenant, type User } from './tenant.ts';

/**
 * Runs the post-login Actions at their two moments and carries what they made of the login to the
 * tokens: after sign-in and before consent, and again at every refresh.
 */
export interface PostLogin {
  /** After sign-in. @throws AccessDenied when an Action denies or fails. */
  onAuthorization(ctx: KoaContextWithOIDC, user: User): Promise<void>;
  /** At a refresh. @throws AccessDenied as above. */
  onRefresh(ctx: KoaContextWithOIDC, user: User): Promise<void>;
  /** Fetches what was kept for the grant of a code, or for the last login with a client. */
  recall(ctx: KoaContextWithOIDC, from: { grantId: string } | LastLogin): void;
  /** Keeps the outcome of an authorization or a refresh that succeeded. */
  keep(ctx: KoaContextWithOIDC): void;
  outcome(ctx: KoaContextWithOIDC): ActionOutcome;
}

interface LastLogin {
  readonly userId: string;
  readonly clientId: string;
}

const KIND = 'ActionOutcome';
const DAYS_30 = 2_592_000;
const NOTHING: ActionOutcome = { accessToken: {}, idToken: {} };

export function createPostLogin(tenant: Tenant, store: StateStore, log: Logger): PostLogin {
  const outcomes = new WeakMap<object, ActionOutcome>();
  const idOfLast = ({ userId, clientId }: LastLogin): string => JSON.stringify([userId, clientId]);

  const run = async (
    ctx: KoaContextWithOIDC,
    user: User,
    protocol: PostLoginEvent['transaction']['protocol'],
  ): Promise<ActionOutcome> => {
    const outcome = await runPostLogin(tenant.postLogin, toEvent(tenant, ctx, user, protocol), log);
    if (outcome.denied !== undefined) throw new errors.AccessDenied(outcome.denied);
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
  };
}

function toEvent(
  tenant: Tenant,
  ctx: KoaContextWithOIDC,
  user: User,
  protocol: PostLoginEvent['transaction']['protocol'],
): PostLoginEvent {
  const { client, params = {}, entities } = ctx.oidc;
  const { password: _password, roles, ...profile } = user;
  const api = apiOf(tenant, params.resource ?? entities.RefreshToken?.resource);
  const application = findApplication(tenant, client?.clientId ?? '');
  const requested = String(params.scope ?? entities.RefreshToken?.scope ?? '');
  const picked = ['redirect_uri', 'state', 'prompt', 'acr_values', 'login_hint', 'response_type'];
  return {
    user: profile,
    client: {
      client_id: client?.clientId ?? '',
      name: application?.name ?? '',
      metadata: application?.client_metadata ?? {},
    },
    connection: {
      id: 'con_local',
      name: 'Username-Password-Authentication',
      strategy: 'auth0',
    },
    authorization: { roles: [...roles] },
    ...(api && { resource_server: { identifier: api.identifier } }),
    tenant: { id: tenant.tenant.friendly_name },
    transaction: {
      protocol,
      requested_scopes: requested.split(' ').filter(Boolean),
      ...Object.fromEntries(picked.flatMap((name) => (params[name] ? [[name, params[name]]] : []))),
    },
    request: {
      ip: ctx.req.socket.remoteAddress ?? '',
      method: ctx.method,
      user_agent: ctx.get('user-agent'),
    },
  };
}
