import type { PostLoginEvent } from './actions.ts';
import type { RequestFacts } from './request-facts.ts';
import { type Api, findApplication, type Organization, type Tenant, type User } from './tenant.ts';

/** What is known of one login or refresh. */
export interface LoginFacts {
  readonly user: User;
  readonly clientId: string;
  readonly api: Api | undefined;
  readonly organization?: Organization | undefined;
  readonly protocol: PostLoginEvent['transaction']['protocol'];
  /** The scopes asked for, with spaces between. */
  readonly scope: string;
  /** Of the authorization request; empty at a refresh. */
  readonly params: Readonly<Record<string, unknown>>;
  /** This login included. */
  readonly loginsCount: number;
  readonly methods: PostLoginEvent['authentication']['methods'];
  readonly request: RequestFacts;
}

const TRANSACTION_PARAMETERS = `redirect_uri state prompt acr_values login_hint response_type
  response_mode ui_locales`.split(/\s+/);

/** Tells a login the way Auth0 tells it to an Action. */
export function toPostLoginEvent(tenant: Tenant, facts: LoginFacts): PostLoginEvent {
  const { user, clientId, api, organization, protocol, scope, params } = facts;
  const { loginsCount, methods, request } = facts;
  const { password: _password, password_hash: _hash, roles, ...profile } = user;
  const application = findApplication(tenant, clientId);
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== '');
  return {
    user: profile,
    client: {
      client_id: clientId,
      name: application?.name ?? '',
      metadata: application?.client_metadata ?? {},
    },
    connection: {
      id: 'con_local',
      name: 'Username-Password-Authentication',
      strategy: 'auth0',
    },
    authorization: { roles: [...roles] },
    authentication: { methods },
    stats: { logins_count: loginsCount },
    ...(organization && { organization: organizationFacts(organization) }),
    ...(api && { resource_server: { identifier: api.identifier } }),
    tenant: { id: tenant.tenant.friendly_name },
    transaction: {
      protocol,
      requested_scopes: scope.split(' ').filter(Boolean),
      ...Object.fromEntries(given.filter(([name]) => TRANSACTION_PARAMETERS.includes(name))),
    },
    request: { ...request, query: Object.fromEntries(given) },
  };
}

function organizationFacts(organization: Organization): PostLoginEvent['organization'] {
  const { id, name, display_name = name, metadata } = organization;
  return { id, name, display_name, metadata };
}
