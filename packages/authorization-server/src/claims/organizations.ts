import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { errors } from '../oidc-provider.ts';
import type { StateStore } from '../state/file.ts';
import { connectionInId } from '../tenant/connections.ts';
import {
  type Application,
  findApplication,
  type Organization,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import { grantSeconds } from '../tenant/token-lifetimes.ts';

/** The organization that a login is for: asked for with `organization`, kept with the grant. */
export interface Organizations {
  /** Of the authorization request, or of the grant that the tokens come from. */
  of(ctx: KoaContextWithOIDC): Organization | undefined;
  /** `org_id`, and with the tenant's consent `org_name`, for both tokens; nothing without one. */
  claims(ctx: KoaContextWithOIDC): { org_id?: string; org_name?: string };
  /** Whether a refresh may go on: the user may have left, or the organization may be gone. */
  stillMember(grantId: string | undefined, user: User): boolean;
  /** Remembers the organization of each login whose code goes out. */
  keepFrom(provider: Provider): void;
}

const KIND = 'LoginOrganization';

/**
 * @param value of the parameter `organization`: an id, or a name where the tenant allows names.
 * @throws InvalidRequest, in Auth0's words, when the tenant has no such organization.
 */
export function requestedOrganization(tenant: Tenant, value: unknown): Organization | undefined {
  if (value === undefined) return undefined;
  const byName = tenant.tenant.allow_organization_name_in_authentication_api;
  const organization = tenant.organizations.find(
    ({ id, name }) => id === value || (byName && name === value),
  );
  if (organization === undefined) {
    throw new errors.InvalidRequest(`parameter organization is invalid: ${String(value)}`);
  }
  return organization;
}

/** @throws InvalidRequest, in Auth0's words, when the application must or may not name one. */
export function checkOrganizationUsage(
  application: Application | undefined,
  value: string | undefined,
): void {
  const usage = application?.organization_usage;
  if (usage === 'deny' && value !== undefined) {
    throw new errors.InvalidRequest('parameter organization is not allowed for this client');
  }
  if (usage === 'require' && value === undefined) {
    throw new errors.InvalidRequest('parameter organization is required for this client');
  }
}

export function isMember({ members }: Organization, user: User): boolean {
  if (members.includes(user.user_id)) return true;
  // An identity provider may claim any address, and must not let anybody in by it.
  if (connectionInId(user.user_id) !== undefined) return false;
  return members.some((member) => member.toLowerCase() === user.email.toLowerCase());
}

/** @throws AccessDenied, in Auth0's words, when the user is not of the organization asked for. */
export function checkMembership(tenant: Tenant, ctx: KoaContextWithOIDC, user: User): void {
  const organization = requestedOrganization(tenant, ctx.oidc.params?.organization);
  if (organization === undefined || isMember(organization, user)) return;
  throw new errors.AccessDenied(
    `user ${user.user_id} is not part of the ${organization.id} organization`,
  );
}

export function createOrganizations(tenant: Tenant, store: StateStore): Organizations {
  const idOf = (grantId: string | undefined): unknown =>
    grantId === undefined ? undefined : store.read(KIND, grantId)?.content.id;
  const of = ({ oidc }: KoaContextWithOIDC): Organization | undefined => {
    // The token endpoint knows no such parameter: there the grant alone counts.
    const asked = oidc.params?.organization;
    if (asked !== undefined) return requestedOrganization(tenant, asked);
    const id = idOf(oidc.entities.Grant?.jti);
    return tenant.organizations.find((organization) => organization.id === id);
  };
  return {
    of,
    claims(ctx) {
      const organization = of(ctx);
      if (organization === undefined) return {};
      const { id: org_id, name: org_name } = organization;
      return {
        org_id,
        ...(tenant.tenant.allow_organization_name_in_authentication_api && { org_name }),
      };
    },
    stillMember(grantId, user) {
      const id = idOf(grantId);
      if (id === undefined) return true;
      const organization = tenant.organizations.find((candidate) => candidate.id === id);
      return organization !== undefined && isMember(organization, user);
    },
    keepFrom(provider) {
      provider.on('authorization.success', (ctx) => {
        const organization = of(ctx);
        const { grantId, clientId = '' } = ctx.oidc.entities.AuthorizationCode ?? {};
        if (organization === undefined || grantId === undefined) return;
        const lifetime = grantSeconds(findApplication(tenant, clientId));
        store.write(KIND, grantId, { id: organization.id }, lifetime);
      });
    },
  };
}
