import type { AccessToken, ClientCredentials, KoaContextWithOIDC } from 'oidc-provider';
import { writeClaim } from '../claims/custom-claims.ts';
import { errors } from '../oidc-provider.ts';
import { type Action, findApplication, type Tenant } from '../tenant/tenant.ts';
import { type ActionCache, createActionCache } from './cache.ts';
import { type RequestFacts, requestOf } from './request-facts.ts';
import { type ActionLog, runAction, TIME_LIMIT, tell } from './run.ts';
import { thrownText } from './thrown-text.ts';
import { unavailableMethods, withUnavailable } from './unavailable-methods.ts';

/** What an Action is told, "Actions Triggers: credentials-exchange"; `secrets` comes from us. */
export interface CredentialsExchangeEvent {
  readonly client: { client_id: string; name: string; metadata: Record<string, unknown> };
  readonly accessToken: { customClaims: Record<string, unknown>; scope: string[] };
  readonly resource_server: { identifier: string };
  readonly tenant: { id: string };
  readonly transaction: { requested_scopes: string[] };
  readonly request: RequestFacts;
}

/** What all credentials-exchange Actions together made of one request. */
export interface CredentialsExchangeOutcome {
  /** Custom claims of the access token. */
  readonly accessToken: Readonly<Record<string, unknown>>;
  readonly denied?: { readonly code: string; readonly reason: string };
}

const DENIALS = ['invalid_scope', 'invalid_request', 'server_error'];

/**
 * Runs the credentials-exchange Actions one after the other. The first that denies ends the run, and
 * so does one that throws or takes longer than `timeLimit`, which counts as `server_error`.
 *
 * @param options `timeLimit` in milliseconds, Auth0's is 20 s; `cache` is the trigger's.
 */
export async function runCredentialsExchange(
  actions: readonly Action[],
  event: CredentialsExchangeEvent,
  log: ActionLog,
  { timeLimit = TIME_LIMIT, cache = createActionCache() as ActionCache } = {},
): Promise<CredentialsExchangeOutcome> {
  const claims: Record<string, unknown> = {};
  let denied: CredentialsExchangeOutcome['denied'];
  for (const action of actions) {
    const api: object = {
      ...unavailableMethods('credentials-exchange'),
      access: {
        deny: (code: unknown, reason: unknown) => {
          if (typeof code !== 'string' || !DENIALS.includes(code)) {
            throw new Error(
              `api.access.deny: the code is "${thrownText(code)}": give one of ${DENIALS.join(', ')}`,
            );
          }
          denied ??= { code, reason: thrownText(reason ?? 'the request was denied') };
          return api;
        },
      },
      accessToken: {
        setCustomClaim: (name: unknown, value: unknown) => {
          if (!writeClaim(claims, 'accessToken', String(name), value)) {
            const fields = { action: action.name, token: 'accessToken', claim: name };
            log.warn(fields, 'restricted claim dropped');
          }
          return api;
        },
      },
      cache: withUnavailable('cache', { get: cache.get, set: cache.set, delete: cache.delete }),
    };
    const accessToken = { ...event.accessToken, customClaims: claims };
    const told = tell(action, { ...event, accessToken });
    try {
      await runAction(action, 'onExecuteCredentialsExchange', told, api, { log, timeLimit });
    } catch (error) {
      denied ??= { code: 'server_error', reason: thrownText(error) };
      log.warn({ action: action.name, reason: denied.reason }, 'the action failed');
    }
    if (denied !== undefined) return { accessToken: {}, denied };
  }
  return { accessToken: claims };
}

type ExtraClaims = (
  ctx: KoaContextWithOIDC,
  token: AccessToken | ClientCredentials,
) => Promise<Record<string, unknown> | undefined>;

/**
 * The Actions at the engine's hook for a token's further claims: after all of its own checks and
 * before the token is written.
 *
 * @returns throws the engine's error when an Action denies: 400, or 500 for `server_error`.
 */
export function createCredentialsExchange(
  tenant: Tenant,
  log: ActionLog,
  cache: ActionCache = createActionCache(),
): ExtraClaims {
  return async (ctx, token) => {
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
      request: requestOf(ctx),
    };
    const { accessToken, denied } = await runCredentialsExchange(
      tenant.credentialsExchange,
      event,
      log,
      { cache },
    );
    if (denied !== undefined) throw refusal(denied);
    return { ...accessToken };
  };
}

function refusal({ code, reason }: { code: string; reason: string }): Error {
  const error = new errors.CustomOIDCProviderError(code, reason);
  const status = code === 'server_error' ? 500 : 400;
  // An Action's reason is for the client, with 500 as well.
  return Object.assign(error, { status, statusCode: status, expose: true });
}
