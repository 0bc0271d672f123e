import type { KoaContextWithOIDC } from 'oidc-provider';
import type { ActionOutcome } from '../actions/login-outcome.ts';
import type { Api } from '../tenant/tenant.ts';
import { isRestrictedClaim, writeClaim } from './custom-claims.ts';
import { removeScope } from './scope-changes.ts';

/** Whether this scope asks for the custom claim of its name: a URL that is no scope of the API's. */
export function isClaimScope(scope: string, api: Api | undefined): boolean {
  return (
    /^https?:\/\/./.test(scope) &&
    URL.canParse(scope) &&
    !isRestrictedClaim(scope) &&
    api?.scopes.some(({ value }) => value === scope) !== true
  );
}

/**
 * Puts the claims asked for by scope back into the request: the engine drops every scope that it does
 * not know when a request is for no API, at its beginning and each time the browser comes back.
 */
export function restoreClaimScopes(
  { oidc }: KoaContextWithOIDC,
  sent: readonly string[],
  api: Api | undefined,
): void {
  const claims = sent.filter((scope) => isClaimScope(scope, api));
  if (oidc.params === undefined || claims.length === 0) return;
  oidc.params.scope = [...new Set([...oidc.requestParamScopes, ...claims])].join(' ');
}

/**
 * Gives the claims that were asked for by scope and that no Action set the value of the user's
 * `app_metadata` of that whole name, if there is one; a claim that still has none is taken out of
 * the scope. Auth0 ignores such scopes: there an Action alone makes the claim.
 */
export function settleClaimScopes(
  outcome: ActionOutcome,
  requestedScopes: readonly string[],
  { api, appMetadata }: { api: Api | undefined; appMetadata: Readonly<Record<string, unknown>> },
): ActionOutcome {
  const accessToken = { ...outcome.accessToken };
  const idToken = { ...outcome.idToken };
  let { scope } = outcome;
  for (const name of requestedScopes) {
    if (!isClaimScope(name, api)) continue;
    if (!(name in accessToken || name in idToken) && Object.hasOwn(appMetadata, name)) {
      writeClaim(accessToken, 'accessToken', name, appMetadata[name]);
      writeClaim(idToken, 'idToken', name, appMetadata[name]);
    }
    if (!(name in accessToken || name in idToken)) scope = removeScope(scope, name);
  }
  return { ...outcome, accessToken, idToken, ...(scope && { scope }) };
}
