import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC, errors as OidcErrors, Provider } from 'oidc-provider';
import { outcomeOf } from '../actions/login-outcome.ts';
import { endpointOf, ROUTES } from '../endpoints.ts';
import { apiOf } from '../tenant/resource-servers.ts';
import { findApplication, type Tenant } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';
import { sentScope } from '../token/audience.ts';
import { droppedScopes } from './dropped-scopes.ts';
import { exchangeType, loginType, refusalType } from './log-types.ts';
import { createRedaction } from './redaction.ts';
import { revokedToken } from './revoked-token.ts';
import type { OpenTransaction, Step, Transactions } from './transactions.ts';

interface Recording {
  readonly transaction: OpenTransaction;
  refused?: boolean;
  reason?: string | undefined;
}

interface Recorder {
  /** Comes before all that may answer. */
  readonly middleware: Middleware;
  /** Notes that a fault was injected into this request. */
  noteFault(ctx: Context, fault: string): void;
}

const RECORDED: readonly string[] = [...Object.values(ROUTES), '/v2/logout'].filter(
  (path) => path !== ROUTES.jwks,
);

/**
 * Keeps what the engine tells of its transactions. No code, token, secret or password gets there:
 * names and texts go through the redaction, and of claims the names alone are kept.
 */
export function recordTransactions(
  provider: Provider,
  transactions: Transactions,
  { tenant, users }: { tenant: Tenant; users: Users },
): Recorder {
  const recordings = new WeakMap<object, Recording>();
  const redact = createRedaction(tenant);
  const actions = [...tenant.loginRules, ...tenant.postLogin].map(({ name }) => name);
  const words = (scope: unknown, ctx: KoaContextWithOIDC): string[] =>
    typeof scope === 'string' ? redact(scope, ctx).split(' ').filter(Boolean) : [];
  const optional = (value: unknown, ctx: KoaContextWithOIDC): string | undefined =>
    redact(value, ctx) || undefined;

  /** The transaction that a request belongs to; a new one begins with what was asked. */
  const recordingOf = (ctx: Context | KoaContextWithOIDC): Recording => {
    const earlier = recordings.get(ctx);
    if (earlier !== undefined) return earlier;
    const engineCtx = ctx as KoaContextWithOIDC;
    const { oidc } = engineCtx;
    const found = keysOf(engineCtx)
      .map((key) => transactions.find(key))
      .find(Boolean);
    const transaction = found ?? transactions.begin();
    const recording: Recording = { transaction };
    recordings.set(ctx, recording);
    // A page of a sign-in that goes on is no request of the client's.
    if (found !== undefined && oidc?.route === 'resume') return recording;
    const { params, body, client } = oidc ?? {};
    const fields: Record<string, unknown> = { ...body, ...params };
    transaction.add({
      step: 'request',
      endpoint: oidc?.route === 'resume' ? ROUTES.authorization : (endpointOf(ctx) ?? ''),
      grantType: optional(fields.grant_type, engineCtx),
      client: client?.clientId ?? optional(fields.client_id ?? ctx.query.client_id, engineCtx),
      scope: oidc === undefined ? undefined : words(askedOf(engineCtx), engineCtx),
      audience: optional(body?.audience ?? fields.audience, engineCtx),
      organization: optional(fields.organization, engineCtx),
    });
    return recording;
  };

  const addSignIn = (ctx: KoaContextWithOIDC, { add, steps }: OpenTransaction): void => {
    if (steps.some((one) => one.step === 'sign-in' && one.outcome !== 'failed')) return;
    const user = ctx.oidc.session?.accountId;
    const outcome = ctx.oidc.result?.login === undefined ? 'session' : 'succeeded';
    add({ step: 'sign-in', outcome, user });
  };

  const addActions = (ctx: KoaContextWithOIDC, { add, steps }: OpenTransaction): void => {
    const refresh = ctx.oidc.params?.grant_type === 'refresh_token';
    if (actions.length === 0 || (!refresh && steps.some(({ step }) => step === 'actions'))) return;
    const { accessToken, idToken, scope } = outcomeOf(ctx);
    const claims = [...new Set([...Object.keys(accessToken), ...Object.keys(idToken)])];
    const denied = outcomeOf(ctx).denied;
    add({
      step: 'actions',
      names: actions,
      denied: denied === undefined ? undefined : redact(denied, ctx),
      claims: claims.map((name) => redact(name, ctx)),
      scopeAdded: [...(scope?.only ?? []), ...(scope?.added ?? [])].map((one) => redact(one, ctx)),
      scopeRemoved: (scope?.removed ?? []).map((one) => redact(one, ctx)),
    });
  };

  provider.on('interaction.started', (ctx, prompt) => {
    const { transaction } = recordingOf(ctx);
    for (const key of keysOf(ctx)) transaction.link(key);
    if (prompt.name !== 'consent') return;
    addSignIn(ctx, transaction);
    addActions(ctx, transaction);
  });

  provider.on('authorization.success', (ctx) => {
    const { transaction } = recordingOf(ctx);
    for (const key of keysOf(ctx)) transaction.link(key);
    addSignIn(ctx, transaction);
    addActions(ctx, transaction);
    const asked = ctx.oidc.result?.consent !== undefined;
    transaction.add({ step: 'consent', outcome: asked ? 'accepted' : 'not asked' });
    transaction.add({ step: 'code' }, loginType(ctx));
  });

  provider.on('authorization.error', (ctx, error) => {
    const recording = recordingOf(ctx);
    const { transaction } = recording;
    const { result, prompt } = ctx.oidc.entities.Interaction ?? {};
    if (result?.error !== undefined && prompt?.name === 'login') {
      const reason = redact(result.error_description, ctx);
      transaction.add({ step: 'sign-in', outcome: 'failed', reason });
    } else if (result?.error !== undefined) {
      transaction.add({ step: 'consent', outcome: 'declined' });
    } else if (outcomeOf(ctx).denied !== undefined) {
      addSignIn(ctx, transaction);
      addActions(ctx, transaction);
    }
    recording.refused = true;
    const refusal: Step = {
      step: 'refusal',
      error: error.error,
      text: optional(error.error_description, ctx),
      reason: optional(error.error_detail, ctx),
    };
    transaction.add(refusal, refusalType(ROUTES.authorization, '', ctx));
  });

  provider.on('grant.success', (ctx) => {
    const { transaction } = recordingOf(ctx);
    const { entities, params, account, client } = ctx.oidc;
    const refresh = params?.grant_type === 'refresh_token';
    if (refresh) addActions(ctx, transaction);
    const token = entities.AccessToken ?? entities.ClientCredentials;
    const answer = ctx.body as Record<string, unknown>;
    const issued = words(answer.scope ?? token?.scope, ctx);
    const granted = refresh ? words(entities.RefreshToken?.scope, ctx) : undefined;
    const asked = transaction.steps.flatMap((one) =>
      one.step === 'request' ? (one.scope ?? []) : [],
    );
    const resource = entities.AuthorizationCode?.resource ?? entities.RefreshToken?.resource;
    const tokens: Step = {
      step: 'tokens',
      kinds: Object.keys(answer).filter((name) => name.endsWith('_token')),
      user: account?.accountId,
      audience: token?.aud === undefined ? undefined : optional(String(token.aud), ctx),
      scope: issued,
      dropped: droppedScopes(tenant, {
        asked: refresh && asked.length === 0 ? (granted ?? []) : asked,
        issued,
        user: users.find(account?.accountId ?? ''),
        application: findApplication(tenant, client?.clientId ?? ''),
        api: apiOf(tenant, params?.resource ?? resource),
        changes: outcomeOf(ctx).scope,
        granted,
      }),
    };
    transaction.add(tokens, exchangeType(ctx));
  });

  provider.on('end_session.success', (ctx) => {
    const user = ctx.oidc.session?.accountId;
    recordingOf(ctx).transaction.add({ step: 'logout', user }, 'slo');
  });

  const keepReason = (ctx: KoaContextWithOIDC, error: OidcErrors.OIDCProviderError): void => {
    const recording = recordingOf(ctx);
    if (outcomeOf(ctx).denied !== undefined) addActions(ctx, recording.transaction);
    recording.reason = optional(error.error_detail, ctx);
  };
  provider.on('grant.error', keepReason);

  return {
    noteFault(ctx, fault) {
      const { transaction } = recordingOf(ctx);
      transaction.add({ step: 'fault', fault });
    },
    middleware: async function recordedTransaction(ctx: Context, next: Next) {
      await next();
      const path = endpointOf(ctx);
      // An id minds its case.
      const page = path === undefined ? undefined : /^\/u\/login\/([\w-]+)$/.exec(ctx.path)?.[1];
      if (page !== undefined && ctx.method === 'POST' && ctx.status >= 400) {
        const reason =
          ctx.status === 429 ? 'too many failures' : 'wrong e-mail address or password';
        const failed: Step = { step: 'sign-in', outcome: 'failed', reason };
        transactions.find(`uid:${page}`)?.add(failed, ctx.state.loginFailure);
      }
      if (path === undefined || !RECORDED.includes(path) || ctx.method === 'OPTIONS') return;
      const recording = recordingOf(ctx);
      const { loggedOut } = ctx.state as { loggedOut?: { user?: string } };
      if (loggedOut !== undefined)
        recording.transaction.add({ step: 'logout', ...loggedOut }, 'slo');
      const revoked = revokedToken(ctx);
      if (revoked !== undefined) {
        recording.transaction.add({ step: 'revocation', user: revoked.accountId }, 'srrt');
      }
      if (recording.refused || ctx.status < 400) return;
      // What the client gets, after every change to it.
      const { error, error_description: text } = (ctx.body ?? {}) as Record<string, unknown>;
      if (typeof error !== 'string' && ctx.respond === false) return;
      const engineCtx = ctx as unknown as KoaContextWithOIDC;
      const refusal: Step = {
        step: 'refusal',
        status: ctx.status,
        error: redact(error, engineCtx) || String(ctx.status),
        text: optional(text, engineCtx),
        reason: recording.reason,
      };
      const reason = recording.reason ?? refusal.text ?? '';
      recording.transaction.add(refusal, refusalType(path, reason, engineCtx));
    },
  };
}

/** By what the requests of one sign-in know each other; the ids stay inside. */
function keysOf({ oidc }: KoaContextWithOIDC): string[] {
  const { Interaction: interaction, AuthorizationCode: code } = oidc?.entities ?? {};
  return [
    ...(interaction?.cid === undefined ? [] : [`cid:${interaction.cid}`]),
    ...(interaction === undefined ? [] : [`uid:${interaction.uid}`]),
    ...(code?.grantId === undefined ? [] : [`grant:${code.grantId}`]),
  ];
}

function askedOf(ctx: KoaContextWithOIDC): string {
  return sentScope(ctx).join(' ');
}
