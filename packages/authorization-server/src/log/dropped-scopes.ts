import { isClaimScope } from '../claims/custom-claims.ts';
import type { ScopeChanges } from '../claims/scope-changes.ts';
import { OIDC_SCOPES } from '../tenant/resource-servers.ts';
import {
  type Api,
  type Application,
  allowedScopes,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';

export interface DroppedScope {
  readonly scope: string;
  /** Undefined when it is not known. */
  readonly why?: string | undefined;
}

interface Issued {
  readonly asked: readonly string[];
  readonly issued: readonly string[];
  readonly user?: User | undefined;
  readonly application?: Application | undefined;
  readonly api?: Api | undefined;
  /** Of rules and Actions. */
  readonly changes?: ScopeChanges | undefined;
  /** What the login was granted; given at a refresh, which may ask for less. */
  readonly granted?: readonly string[] | undefined;
}

/** The scopes that were asked for and are not in the token, and which setting took each away. */
export function droppedScopes(tenant: Tenant, token: Issued): DroppedScope[] {
  return [...new Set(token.asked)]
    .filter((scope) => !token.issued.includes(scope))
    .map((scope) => ({ scope, why: whyDropped(tenant, token, scope) }));
}

function whyDropped(tenant: Tenant, token: Issued, scope: string): string | undefined {
  const { user, application, api, changes, granted } = token;
  if (isClaimScope(scope, api)) return 'no Action set this claim';
  if (changes?.removed.includes(scope)) return 'an Action removed it';
  if (changes?.only !== undefined && !changes.only.includes(scope)) return 'a rule replaced all';
  if (granted !== undefined && !granted.includes(scope)) return 'not granted at the sign-in';
  if (scope === 'offline_access') {
    if (!application?.grant_types.includes('refresh_token')) {
      return 'the application has no grant type refresh_token';
    }
    return api?.allow_offline_access === false ? `${api.name} allows no offline access` : undefined;
  }
  if (OIDC_SCOPES.includes(scope)) return undefined;
  if (api === undefined) return 'no audience was asked for';
  if (!api.scopes.some(({ value }) => value === scope)) return `${api.name} has no such scope`;
  if (user !== undefined && !allowedScopes(tenant, user, api).includes(scope)) {
    return "no role of the user's permits it";
  }
  return undefined;
}
