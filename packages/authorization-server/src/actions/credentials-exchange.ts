import type { AccessToken, ClientCredentials, KoaContextWithOIDC } from 'oidc-provider';
import { writeClaim } from '../claims/custom-claims.ts';
import { errors } from '../oidc-provider.ts';
import { type Action, findApplication, type Tenant } from '../tenant/tenant.ts';
import { ActionCache } from './cache.ts';
import { type RequestFacts, requestFacts } from './login-event.ts';
import { cachePart, unavailableParts } from './post-login-api.ts';
import { type ActionLog, eventFor, runAction, TIME_LIMIT_MS, thrownText } from './run.ts';

/** "Actions Triggers: credentials-exchange"; each Action gets its `secrets` in addition. */
export interface CredentialsExchangeEvent {
  readonly client: { client_id: string; name: string; metadata: Record<string, unknown> };
  readonly accessToken: { customClaims: Record<string, unknown>; scope: string[] };
  readonly resource_server: { identifier: string };
  readonly tenant: { id: string };
  readonly transaction: { requested_scopes: string[] };
  readonly request: RequestFacts;
}

/** Result of all credentials-exchange Actions for one request. */
export interface CredentialsExchangeOutcome {
  /** Custom claims of the access token. */
  readonly accessToken: Readonly<Record<string, unknown>>;
  readonly denied?: Denial;
}

interface Denial {
  readonly code: string;
  readonly reason: string;
}

interface Draft {
  readonly accessToken: Record<string, unknown>;
  denied?: Denial;
}

interface CredentialsExchangeParts {
  readonly tenant: Tenant;
  readonly log: ActionLog;
  readonly caches: { readonly credentialsExchange: ActionCache };
}

type ExtraTokenClaims = (
  ctx: KoaContextWithOIDC,
  token: AccessToken | ClientCredentials,
) => Promise<Record<string, unknown> | undefined>;

const DENIAL_CODES = ['invalid_scope', 'invalid_request', 'server_error'];

/**
 * Runs the Actions at the engine's hook for further claims of a token: after all of its own checks and
 * before the token is written. The hook throws the engine's error when an Action denies: 400, or 500
 * for `server_error`.
 */
export function credentialsExchange({
  tenant,
  log,
  caches,
}: CredentialsExchangeParts): ExtraTokenClaims {
  return async function credentialsExchange(ctx, token) {
    if (token.kind !== 'ClientCredentials' || tenant.credentialsExchange.length === 0) return;
    const clientId = token.clientId ?? '';
    const application = findApplication(tenant, clientId);
    const scope = token.scope?.split(' ').filter(Boolean) ?? [];
    const event: CredentialsExchangeEvent = {
      client: {
        client_id: clientId,
        name: application?.name ?? '',
        metadata: application?.client_metadata ?? {},
      },
      accessToken: { customClaims: {}, scope },
      resource_server: { identifier: String(token.aud) },
      tenant: { id: tenant.tenant.friendly_name },
      transaction: { requested_scopes: scope },
      request: requestFacts(ctx),
    };
    const { accessToken, denied } = await runCredentialsExchange(
      tenant.credentialsExchange,
      event,
      log,
      { cache: caches.credentialsExchange },
    );
    if (denied !== undefined) throw toEngineError(denied);
    return { ...accessToken };
  };
}

/**
 * Runs the credentials-exchange Actions in their order. The first that denies ends the run, and so
 * does one that throws or takes longer than `timeLimit`, which counts as `server_error`.
 *
 * @param options `timeLimit` in milliseconds for each Action; `cache` is the trigger's.
 */
export async function runCredentialsExchange(
  actions: readonly Action[],
  event: CredentialsExchangeEvent,
  log: ActionLog,
  { timeLimit = TIME_LIMIT_MS, cache = new ActionCache() } = {},
): Promise<CredentialsExchangeOutcome> {
  const draft: Draft = { accessToken: {} };
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
  return { accessToken: draft.accessToken };
}

/** Creates the `api` object of one Action, whose methods write to the draft. */
function credentialsExchangeApi(
  { name: action }: Action,
  { draft, log, cache }: { draft: Draft; log: ActionLog; cache: ActionCache },
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

function toEngineError({ code, reason }: Denial): Error {
  const error = new errors.CustomOIDCProviderError(code, reason);
  const status = code === 'server_error' ? 500 : 400;
  // An Action's reason is for the client, with 500 as well.
  return Object.assign(error, { status, statusCode: status, expose: true });
}
