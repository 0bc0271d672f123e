import { isLoopback } from '@koa-oauth/service';
import type { Grant, KoaContextWithOIDC, Provider } from 'oidc-provider';
import { isClaimScope, restoreClaimScopes } from '../claims/custom-claims.ts';
import { requestedOrganization } from '../claims/organizations.ts';
import { splitScope } from '../claims/scope-changes.ts';
import { errors } from '../oidc-provider.ts';
import type { StateStore } from '../state/memory.ts';
import {
  type Api,
  type Application,
  allowedScopes,
  apiOf,
  findApplication,
  OIDC_SCOPES,
  type Organization,
  scopesOf,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';

/** Scopes of an authorization request, sorted for one user of one application. */
export interface AskedScopes {
  readonly user: User;
  readonly application: Application;
  readonly api: Api | undefined;
  readonly resource: string;
  readonly organization: Organization | undefined;
  readonly oidc: readonly string[];
  /** Names of custom claims: granted without consent; in the scope only if an Action sets the claim. */
  readonly claims: readonly string[];
  readonly allowed: readonly string[];
  /** Scopes of the API that the user may not have: dropped silently (RBAC). */
  readonly refused: readonly string[];
}

interface GrantParts {
  readonly tenant: Tenant;
  readonly users: Users;
  readonly consents: Consents;
}

const CONSENT = 'Consent';

/** Auth0's setting, of an application or the tenant, that trusts callbacks which any program could receive. */
const SKIP_PROMPT = 'skip_non_verifiable_callback_uri_confirmation_prompt';

/** Consents of users, stored until revoked, per user, application, API and organization, as at Auth0. */
export class Consents {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  scopesOf(asked: AskedScopes): ReadonlySet<string> {
    return new Set((this.#store.read(CONSENT, consentId(asked))?.content.scopes ?? []) as string[]);
  }

  add(asked: AskedScopes): void {
    const scopes = [...this.scopesOf(asked), ...asked.oidc, ...asked.allowed];
    this.#store.write(CONSENT, consentId(asked), { scopes: [...new Set(scopes)] });
  }
}

/** Sorts the scopes of a request; undefined when the user or the application was removed. */
export function askedScopes(
  tenant: Tenant,
  user: User | undefined,
  params: Readonly<Record<string, unknown>>,
): AskedScopes | undefined {
  const application = findApplication(tenant, params.client_id);
  if (user === undefined || application === undefined) return undefined;
  const scopes = splitScope(params.scope);
  const api = apiOf(tenant, params.resource);
  const permitted = api === undefined ? [] : allowedScopes(tenant, user, api);
  const ofApi = scopes.filter((scope) => scopesOf(api).includes(scope));
  return {
    user,
    application,
    api,
    resource: api === undefined ? '' : String(params.resource),
    organization: requestedOrganization(tenant, params.organization),
    oidc: scopes.filter((scope) => OIDC_SCOPES.includes(scope)),
    claims: scopes.filter((scope) => isClaimScope(scope, api)),
    allowed: ofApi.filter((scope) => permitted.includes(scope)),
    refused: ofApi.filter((scope) => !permitted.includes(scope)),
  };
}

/** Returns the reason for which nothing can be granted; undefined when something can. */
export function nothingToGrant({
  oidc,
  claims,
  allowed,
  refused,
}: AskedScopes): string | undefined {
  if (oidc.length + claims.length + allowed.length > 0) return undefined;
  if (refused.length === 0) return 'no known scope asked for';
  return `the user has none of the permissions asked for: ${refused.join(' ')}`;
}

/** Creates a grant for one authorization; its revocation does not affect the user's other logins. */
export function newGrant(
  provider: Provider,
  asked: AskedScopes,
  granted: (scope: string) => boolean,
): Grant {
  const grant = new provider.Grant({
    accountId: asked.user.user_id,
    clientId: asked.application.client_id,
  });
  const oidc = [...asked.oidc.filter(granted), ...asked.claims];
  const ofApi = asked.allowed.filter(granted);
  if (oidc.length > 0) grant.addOIDCScope(oidc);
  if (asked.api !== undefined) {
    // The token for the API has the OpenID scopes too.
    if (oidc.length + ofApi.length > 0) grant.addResourceScope(asked.resource, [...oidc, ...ofApi]);
    // The engine would ask for consent again and again for a scope that is not rejected.
    if (asked.refused.length > 0) grant.rejectResourceScope(asked.resource, [...asked.refused]);
  }
  return grant;
}

/** Returns the grant of the consent just given, or one of earlier consents, stored if nothing is missing. */
export async function loadGrant(
  { tenant, users, consents }: GrantParts,
  ctx: KoaContextWithOIDC,
): Promise<Grant | undefined> {
  const { provider, session, params, result, entities } = ctx.oidc;
  const { scope } = entities.DeviceCode?.params ?? entities.Interaction?.params ?? {};
  const sent = splitScope(scope);
  restoreClaimScopes(ctx, sent, apiOf(tenant, params?.resource));
  const consented = result?.consent?.grantId;
  if (consented !== undefined) return provider.Grant.find(consented);

  const asked = askedScopes(tenant, users.find(session?.accountId), params ?? {});
  if (asked === undefined) return undefined;
  const reason = nothingToGrant(asked);
  if (reason !== undefined) throw new errors.AccessDenied(reason);
  const skips = skipsConsent(tenant, asked, params?.redirect_uri);
  const consentedTo = consents.scopesOf(asked);
  const isGranted = (scope: string): boolean => skips || consentedTo.has(scope);
  const grant = newGrant(provider, asked, isGranted);
  if ([...asked.oidc, ...asked.allowed].every(isGranted)) await grant.save();
  return grant;
}

/**
 * Checks whether Auth0 would skip the consent: for a first-party application without an API, or with an API
 * that allows it. Any program on the machine could receive a callback on loopback, or with its own scheme.
 */
function skipsConsent(
  { tenant }: Tenant,
  { application, api }: AskedScopes,
  callback: unknown,
): boolean {
  if (!application.is_first_party) return false;
  if (api?.skip_consent_for_verifiable_first_party_clients === false) return false;
  const trusted = application[SKIP_PROMPT] ?? tenant[SKIP_PROMPT];
  if (trusted === true) return true;
  // A device has no callback.
  const url = typeof callback === 'string' ? new URL(callback) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && !isLoopback(url.hostname);
}

function consentId({ user, application, resource, organization }: AskedScopes): string {
  const id = [user.user_id, application.client_id, resource];
  return JSON.stringify(organization === undefined ? id : [...id, organization.id]);
}
