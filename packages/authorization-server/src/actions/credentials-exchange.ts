import type { AccessToken, ClientCredentials, KoaContextWithOIDC } from 'oidc-provider';
import { writeClaim } from '../claims/custom-claims.ts';
import type { AppContext } from '../context.ts';
import { errors } from '../oidc-provider.ts';
import type { Action } from '../tenant/tenant.ts';
import { ActionCache } from './cache.ts';
import { type ClientFacts, clientFacts, type RequestFacts, requestFacts } from './login-event.ts';
import { cachePart, unavailableParts } from './post-login-api.ts';
import { type ActionLog, eventFor, runAction, TIME_LIMIT_MS, thrownText } from './run.ts';

/** "Actions Triggers: credentials-exchange"; each Action gets its `secrets` in addition. */
export interface CredentialsExchangeEvent {
  readonly client: ClientFacts;
  readonly accessToken: { customClaims: Record<string, unknown>; scope: string[] };
  readonly resource_server: { identifier: string };
  readonly tenant: { id: string };
  readonly transaction: { requested_scopes: string[] };
  readonly request: RequestFacts;
}

/** Result of all credentials-exchange Actions for one request. */
export interface CredentialsExchangeOutcome {
  /** Custom claims of the access token. */
  readonly accessToken: Record<string, unknown>;
  denied?: { readonly code: string; readonly reason: string };
}

type ExtraTokenClaims = (
  ctx: KoaContextWithOIDC,
  token: AccessToken | ClientCredentials,
) => Promise<Record<string, unknown> | undefined>;

const DENIAL_CODES = ['invalid_scope', 'invalid_request', 'server_error'];

/**
 * Runs the Actions at the engine's hook for further claims of a token: after all of its own checks and
 * before the token is written. A denial is thrown as an error of the engine with status 400, or 500 for
 * `server_error`.
 */
export function credentialsExchange({ tenant, log, caches }: AppContext): ExtraTokenClaims {
  return async function credentialsExchange(ctx, token) {
    if (token.kind !== 'ClientCredentials') return;
    const scope = token.scope?.split(' ').filter(Boolean) ?? [];
    const event: CredentialsExchangeEvent = {
      client: clientFacts(tenant, token.clientId ?? ''),
      accessToken: { customClaims: {}, scope },
      resource_server: { identifier: String(token.aud) },
      tenant: { id: tenant.tenant.friendly_name },
      transaction: { requested_scopes: scope },
      request: requestFacts(ctx),
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
 * throws or exceeds `timeLimit` (milliseconds for each Action) denies with `server_error`.
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
    const own = eventFor(action, { ...event, accessToken });
    try {
      await runAction(action, 'onExecuteCredentialsExchange', own, api, { log, timeLimit });
    } catch (error) {
      draft.denied ??= { code: 'server_error', reason: thrownText(error) };
      log.warn({ action: action.name, reason: draft.denied.reason }, 'the action failed');
    }
    if (draft.denied !== undefined) return { accessToken: {}, denied: draft.denied };
  }
  return draft;
}

/** Creates the `api` object of one Action, whose methods write to the draft. */
function credentialsExchangeApi(
  { name: action }: Action,
  { draft, log, cache }: { draft: CredentialsExchangeOutcome; log: ActionLog; cache: ActionCache },
): object {
  const api: object = {
    ...unavailableParts('credentials-exchange'),
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
      setCustomClaim: (name: unknown, value: unknown) => {
        if (!writeClaim(draft.accessToken, 'accessToken', String(name), value)) {
          log.warn({ action, token: 'accessToken', claim: name }, 'restricted claim dropped');
        }
        return api;
      },
    },
    cache: cachePart(cache),
  };
  return api;
}
