import type { Configuration } from 'oidc-provider';
import { splitScope } from '../claims/scope-changes.ts';
import type { AppContext } from '../context.ts';
import { errors } from '../oidc-provider.ts';
import type { Action } from '../tenant/tenant.ts';
import { ActionCache } from './cache.ts';
import {
  type ClientFacts,
  clientFacts,
  type RequestFacts,
  requestFacts,
  settableFacts,
} from './login-event.ts';
import { cacheMethods, claimSetter } from './post-login-api.ts';
import { createApi } from './reference.ts';
import { type ActionLog, eventFor, runAction, TIME_LIMIT_MS, thrownText } from './run.ts';

/** "Actions Triggers: credentials-exchange"; each Action gets its `secrets` in addition. */
export interface CredentialsExchangeEvent {
  readonly client: ClientFacts;
  readonly accessToken: { customClaims: Record<string, unknown>; scope: string[] };
  readonly resource_server: { identifier: string };
  readonly tenant: { id: string };
  readonly transaction: { requested_scopes: string[]; correlation_id?: unknown };
  readonly request: RequestFacts;
  readonly custom_domain?: object;
}

interface CredentialsExchangeOutcome {
  readonly accessToken: Record<string, unknown>;
  denied?: { readonly code: string; readonly reason: string };
}

const DENIAL_CODES = ['invalid_scope', 'invalid_request', 'server_error'];

/** Runs the Actions where the engine asks for more claims of a token: after all of its own checks. */
export function credentialsExchange({
  tenant,
  log,
  caches,
}: AppContext): Configuration['extraTokenClaims'] {
  return async function credentialsExchange(ctx, token) {
    if (token.kind !== 'ClientCredentials') return;
    const scope = splitScope(token.scope);
    const request = requestFacts(ctx);
    const { correlation_id } = request.body;
    const { custom_domain } = tenant.event;
    const { geoip } = settableFacts(tenant);
    const event: CredentialsExchangeEvent = {
      client: clientFacts(tenant, token.clientId ?? ''),
      accessToken: { customClaims: {}, scope },
      resource_server: { identifier: String(token.aud) },
      tenant: { id: tenant.tenant.friendly_name },
      transaction: { requested_scopes: scope, ...(correlation_id ? { correlation_id } : {}) },
      request: { ...request, ...(geoip && { geoip }) },
      ...(custom_domain && { custom_domain }),
    };
    const options = { cache: caches.credentialsExchange };
    const actions = tenant.credentialsExchange;
    const { accessToken, denied } = await runCredentialsExchange(actions, event, log, options);
    if (denied === undefined) return accessToken;
    const { code, reason } = denied;
    const status = code === 'server_error' ? 500 : 400;
    // An Action's reason is for the client, with 500 as well.
    const exposed = { status, statusCode: status, expose: true };
    throw Object.assign(new errors.CustomOIDCProviderError(code, reason), exposed);
  };
}

/**
 * Runs the credentials-exchange Actions in their order. The first that denies ends the run. One that
 * throws or takes more than `timeLimit` milliseconds denies with `server_error`.
 */
export async function runCredentialsExchange(
  actions: readonly Action[],
  event: CredentialsExchangeEvent,
  log: ActionLog,
  { timeLimit = TIME_LIMIT_MS, cache = new ActionCache() } = {},
): Promise<CredentialsExchangeOutcome> {
  const draft: CredentialsExchangeOutcome = { accessToken: {} };
  for (const action of actions) {
    const api = credentialsExchangeApi(action, { draft, log, cache });
    const accessToken = { ...event.accessToken, customClaims: draft.accessToken };
    const own = eventFor('credentials-exchange', action, { ...event, accessToken });
    try {
      await runAction(action, 'onExecuteCredentialsExchange', own, api, { log, timeLimit });
    } catch (error) {
      const reason = thrownText(error, action);
      draft.denied ??= { code: 'server_error', reason };
      log.warn({ action: action.name, reason: draft.denied.reason }, 'the action failed');
    }
    if (draft.denied !== undefined) return { accessToken: {}, denied: draft.denied };
  }
  return draft;
}

function credentialsExchangeApi(
  { name: action }: Action,
  { draft, log, cache }: { draft: CredentialsExchangeOutcome; log: ActionLog; cache: ActionCache },
): object {
  const api: object = {};
  return createApi('credentials-exchange', api, {
    access: {
      deny: (code: unknown, reason: unknown) => {
        if (typeof code !== 'string' || !DENIAL_CODES.includes(code)) {
          throw new Error(
            `api.access.deny: the code is "${thrownText(code)}": give one of ${DENIAL_CODES.join(', ')}`,
          );
        }
        draft.denied ??= { code, reason: thrownText(reason ?? 'the request was denied') };
        return api;
      },
    },
    accessToken: {
      setCustomClaim: claimSetter({ api, action, log }, 'accessToken', draft.accessToken),
    },
    cache: cacheMethods(cache),
  });
}
