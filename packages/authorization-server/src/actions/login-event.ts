import { describeConnection, identitiesOf } from '../tenant/connections.ts';
import {
  type Api,
  findApplication,
  type Organization,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import type { AuthenticationMethod } from './login-outcome.ts';
import type { RequestFacts } from './request-facts.ts';
import type { TransactionMetadata } from './transaction-metadata.ts';

/** What an Action is told, "Actions Triggers: post-login, Event object"; `secrets` comes from us. */
export interface PostLoginEvent {
  readonly user: Omit<User, 'password' | 'roles'>;
  readonly client: { client_id: string; name: string; metadata: Record<string, unknown> };
  readonly connection: { id: string; name: string; strategy: string };
  readonly authorization: { roles: string[] };
  readonly authentication: { methods: AuthenticationMethod[] };
  readonly stats: { logins_count: number };
  readonly organization?:
    | { id: string; name: string; display_name: string; metadata: Record<string, unknown> }
    | undefined;
  readonly resource_server?: { identifier: string };
  /** Of the sign-in; times in ISO 8601. */
  readonly session?: { id: string; created_at: string; authenticated_at: string };
  /** At a refresh; times in ISO 8601. Its `id` is the grant's, never the token. */
  readonly refresh_token?: {
    id: string;
    client_id: string;
    session_id?: string;
    created_at: string;
    expires_at?: string;
    rotating: boolean;
  };
  readonly tenant: { id: string };
  readonly transaction: {
    protocol: 'oidc-basic-profile' | 'oauth2-refresh-token';
    requested_scopes: string[];
    metadata?: TransactionMetadata;
    [parameter: string]: unknown;
  };
  readonly request: RequestFacts & { query: Record<string, unknown> };
}

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
  readonly session?: PostLoginEvent['session'];
  readonly refreshToken?: PostLoginEvent['refresh_token'];
  readonly request: RequestFacts;
}

const TRANSACTION_PARAMETERS = `redirect_uri state prompt acr_values login_hint response_type
  response_mode ui_locales`.split(/\s+/);

/** Tells a login the way Auth0 tells it to an Action. */
export function toPostLoginEvent(tenant: Tenant, facts: LoginFacts): PostLoginEvent {
  const { user, clientId, api, organization, protocol, scope, params } = facts;
  const { loginsCount, methods, session, refreshToken, request } = facts;
  const { password: _password, password_hash: _hash, roles, email, ...profile } = user;
  const application = findApplication(tenant, clientId);
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== '');
  return {
    user: {
      ...profile,
      ...(email && { email }),
      identities: identitiesOf(tenant, user.user_id),
    },
    client: {
      client_id: clientId,
      name: application?.name ?? '',
      metadata: application?.client_metadata ?? {},
    },
    connection: describeConnection(tenant, user.user_id),
    authorization: { roles: [...roles] },
    authentication: { methods },
    stats: { logins_count: loginsCount },
    ...(organization && { organization: organizationFacts(organization) }),
    ...(api && { resource_server: { identifier: api.identifier } }),
    ...(session && { session }),
    ...(refreshToken && { refresh_token: refreshToken }),
    tenant: { id: tenant.tenant.friendly_name },
    transaction: {
      protocol,
      requested_scopes: scope.split(' ').filter(Boolean),
      metadata: {},
      locale: String(params.ui_locales ?? 'en').split(' ')[0],
      ...Object.fromEntries(given.filter(([name]) => TRANSACTION_PARAMETERS.includes(name))),
    },
    request: { ...request, query: Object.fromEntries(given) },
  };
}

function organizationFacts(organization: Organization): PostLoginEvent['organization'] {
  const { id, name, display_name = name, metadata } = organization;
  return { id, name, display_name, metadata };
}
