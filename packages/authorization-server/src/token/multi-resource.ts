import type { KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import { splitScope } from '../claims/scope-changes.ts';
import type { AppContext } from '../context.ts';
import {
  type Api,
  allowedScopes,
  findApi,
  findApplication,
  OIDC_SCOPES,
  resourceOf,
  scopesOf,
  type User,
} from '../tenant/tenant.ts';

/** The API that a refresh names in `audience`, by a policy of its application. */
interface ChosenApi {
  readonly api: Api;
  /** Scopes that the policy adds to those of the sign-in. */
  readonly added: readonly string[];
  /** Undefined: all. */
  readonly asked: readonly string[] | undefined;
}

/**
 * Reads the `audience` of a refresh ("Multi-Resource Refresh Token"). As at Auth0 it counts only for an API of
 * `refresh_token.policies` that needs no consent, from a first-party application; others are ignored.
 */
export function chooseApi({ tenant, log }: AppContext, ctx: KoaContextWithOIDC): void {
  const { body, params, client } = ctx.oidc;
  const application = findApplication(tenant, client?.clientId);
  const api = findApi(tenant, body?.audience);
  const policies = application?.refresh_token.policies ?? [];
  const policy = policies.find(({ audience }) => audience === api?.identifier);
  if (api === undefined || policy === undefined || params === undefined) return;
  if (!application?.is_first_party || !api.skip_consent_for_verifiable_first_party_clients) {
    const fields = { client: client?.clientId, audience: api.identifier };
    log.warn(
      fields,
      'policy ignored: it needs a first-party application and an API that skips consent',
    );
    return;
  }
  const asked = params.scope === undefined ? undefined : splitScope(params.scope);
  const chosen: ChosenApi = { api, added: policy.scope, asked };
  ctx.state.chosenApi = chosen;
  // The engine compares it with the scope of the sign-in. `applyChosenApi` sets it again.
  params.scope = undefined;
}

/** Lets the engine issue the access token for the chosen API. The refresh token stays that of the sign-in. */
export function applyChosenApi(
  { tenant }: AppContext,
  ctx: KoaContextWithOIDC,
  { user, token }: { readonly user: User; readonly token: RefreshToken },
): void {
  const chosen = chosenApiOf(ctx);
  const { params, entities } = ctx.oidc;
  if (chosen === undefined || params === undefined) return;
  const { api, added, asked } = chosen;
  const resource = resourceOf(api.identifier);
  const signedIn = [...token.scopes];
  const granted = token.resource === resource ? [...signedIn, ...added] : added;
  const permitted = allowedScopes(tenant, user, api);
  const scopes = [
    ...signedIn.filter((scope) => OIDC_SCOPES.includes(scope)),
    ...scopesOf(api).filter((scope) => granted.includes(scope) && permitted.includes(scope)),
  ].filter((scope) => asked?.includes(scope) ?? true);
  // For this request: the stored grant stays as it is.
  entities.Grant?.addResourceScope(resource, scopes);
  params.resource = resource;
  // Without one, the engine would use the scope of the sign-in.
  params.scope = (scopes.length > 0 ? scopes : (asked ?? [])).join(' ') || undefined;
}

/** Returns the resource that a refresh may name in addition to those of its token. */
export function chosenResource(ctx: KoaContextWithOIDC): string | undefined {
  const api = chosenApiOf(ctx)?.api;
  return api && resourceOf(api.identifier);
}

function chosenApiOf({ state }: KoaContextWithOIDC): ChosenApi | undefined {
  return state.chosenApi as ChosenApi | undefined;
}
