import type { KoaContextWithOIDC } from 'oidc-provider';
import { sourceOf } from '../endpoints.ts';
import { errors } from '../oidc-provider.ts';
import type { StateStore } from '../state/memory.ts';
import {
  type Application,
  findApplication,
  type Organization,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import { isNamed } from '../tenant/users.ts';
import { grantSeconds } from '../token/refresh-token.ts';

interface OrganizationParts {
  readonly tenant: Tenant;
  readonly store: StateStore;
}

const KIND = 'LoginOrganization';

/** The organization that a login is for: requested with `organization`, stored with the grant. */
export class Organizations {
  readonly #parts: OrganizationParts;

  constructor(parts: OrganizationParts) {
    this.#parts = parts;
  }

  /** Returns the organization of the authorization request, or of the tokens' grant. */
  organizationOf({ oidc }: KoaContextWithOIDC): Organization | undefined {
    // The token endpoint has no such parameter: only the grant counts there.
    const requested = oidc.params?.organization;
    if (requested !== undefined) return requestedOrganization(this.#parts.tenant, requested);
    return this.#findById(this.#storedId(oidc.entities.Grant?.jti));
  }

  /** Returns `org_id`, and `org_name` if the tenant allows it, for both tokens. */
  claims(ctx: KoaContextWithOIDC): { org_id?: string; org_name?: string } {
    const organization = this.organizationOf(ctx);
    if (organization === undefined) return {};
    const { id: org_id, name: org_name } = organization;
    return {
      org_id,
      ...(this.#parts.tenant.tenant.allow_organization_name_in_authentication_api && { org_name }),
    };
  }

  /** Checks at a refresh that the organization still exists and has the user as a member. */
  stillMember(grantId: string | undefined, user: User): boolean {
    const id = this.#storedId(grantId);
    if (id === undefined) return true;
    const organization = this.#findById(id);
    return organization !== undefined && isMember(organization, user);
  }

  storeFor(ctx: KoaContextWithOIDC): void {
    const organization = this.organizationOf(ctx);
    const { grantId, clientId } = sourceOf(ctx) ?? {};
    if (organization === undefined || grantId === undefined) return;
    const lifetime = grantSeconds(findApplication(this.#parts.tenant, clientId));
    this.#parts.store.write(KIND, grantId, { id: organization.id }, lifetime);
  }

  #storedId(grantId: string | undefined): unknown {
    return grantId === undefined ? undefined : this.#parts.store.read(KIND, grantId)?.content.id;
  }

  #findById(id: unknown): Organization | undefined {
    return this.#parts.tenant.organizations.find((organization) => organization.id === id);
  }
}

/** Finds an organization by id, or by name if the tenant allows it. @throws InvalidRequest in Auth0's words. */
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

/** @throws InvalidRequest, in Auth0's words, when the application must or must not name one. */
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
  return members.some((member) => isNamed(user, member));
}

/** @throws AccessDenied, in Auth0's words, when the user is no member of the requested organization. */
export function checkMembership(tenant: Tenant, ctx: KoaContextWithOIDC, user: User): void {
  const organization = requestedOrganization(tenant, ctx.oidc.params?.organization);
  if (organization === undefined || isMember(organization, user)) return;
  throw new errors.AccessDenied(
    `user ${user.user_id} is not part of the ${organization.id} organization`,
  );
}
