import type { KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import { splitScope } from '../claims/scope-changes.ts';
import {
  type Api,
  findApplication,
  type Organization,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import { describeConnection, identitiesOf } from '../tenant/users.ts';
import type { AuthenticationMethod } from './login-outcome.ts';
import type { TransactionMetadata } from './metadata.ts';

/** "Actions Triggers: post-login, Event object"; each Action gets its `secrets` in addition. */
export interface PostLoginEvent {
  readonly user: Omit<User, 'password' | 'roles'>;
  readonly client: ClientFacts;
  readonly connection: { id: string; name: string; strategy: string };
  readonly authorization: { roles: string[] };
  readonly authentication: { methods: AuthenticationMethod[] };
  readonly stats: { logins_count: number };
  readonly organization?:
    | { id: string; name: string; display_name: string; metadata: Record<string, unknown> }
    | undefined;
  readonly resource_server?: { identifier: string };
  /** The sign-in; times in ISO 8601. Its `id` is the `sid` of the ID token. */
  readonly session?: { id: string; created_at: string; authenticated_at: string };
  /** The refresh token at a refresh; times in ISO 8601. Its `id` is the grant's, never the token. */
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
    protocol: 'oidc-basic-profile' | 'oauth2-device-code' | 'oauth2-refresh-token';
    requested_scopes: string[];
    metadata?: TransactionMetadata;
    [parameter: string]: unknown;
  };
  readonly request: RequestFacts & { query: Record<string, unknown> };
}

export interface ClientFacts {
  readonly client_id: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface RequestFacts {
  readonly ip: string;
  readonly method: string;
  readonly user_agent: string;
  readonly hostname?: string;
  /** The browser's `Accept-Language`. */
  readonly language?: string;
  /** Body of a request to the token endpoint, without its secrets. */
  readonly body: Record<string, unknown>;
}

/** Facts of one login or refresh; some are parts of the event already. */
interface LoginFacts
  extends Pick<PostLoginEvent, 'authentication' | 'stats' | 'session' | 'refresh_token'> {
  readonly user: User;
  readonly clientId: string;
  readonly api: Api | undefined;
  readonly organization?: Organization | undefined;
  readonly protocol: PostLoginEvent['transaction']['protocol'];
  /** The requested scopes, with spaces between. */
  readonly scope: string;
  /** Parameters of the authorization request; empty at a refresh. */
  readonly params: Readonly<Record<string, unknown>>;
  readonly request: RequestFacts;
}

const TRANSACTION_PARAMETERS = `redirect_uri state prompt acr_values login_hint response_type
  response_mode ui_locales`.split(/\s+/);

/** Body parameters that no Action may see. */
const SECRET_PARAMETERS =
  'client_secret client_assertion refresh_token code code_verifier user_code xsrf'.split(' ');

export function toPostLoginEvent(tenant: Tenant, facts: LoginFacts): PostLoginEvent {
  const { user, clientId, api, organization, protocol, scope, params, request, ...others } = facts;
  const { password: _password, password_hash: _hash, roles, email, ...profile } = user;
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== '');
  return {
    user: { ...profile, ...(email && { email }), identities: identitiesOf(tenant, user.user_id) },
    client: clientFacts(tenant, clientId),
    connection: describeConnection(tenant, user.user_id),
    authorization: { roles: [...roles] },
    ...(organization && { organization: organizationFacts(organization) }),
    ...(api && { resource_server: { identifier: api.identifier } }),
    ...others,
    tenant: { id: tenant.tenant.friendly_name },
    transaction: {
      protocol,
      requested_scopes: splitScope(scope),
      metadata: {},
      locale: String(params.ui_locales ?? 'en').split(' ')[0],
      ...Object.fromEntries(given.filter(([name]) => TRANSACTION_PARAMETERS.includes(name))),
    },
    request: { ...request, query: Object.fromEntries(given) },
  };
}

export function clientFacts(tenant: Tenant, clientId: string): ClientFacts {
  const application = findApplication(tenant, clientId);
  const { name = '', client_metadata: metadata = {} } = application ?? {};
  return { client_id: clientId, name, metadata };
}

export function requestFacts(ctx: KoaContextWithOIDC): RequestFacts {
  return {
    ip: ctx.req.socket.remoteAddress ?? '',
    method: ctx.method,
    user_agent: ctx.get('user-agent'),
    hostname: ctx.hostname,
    language: ctx.get('accept-language'),
    body: Object.fromEntries(
      Object.entries(ctx.oidc.body ?? {}).filter(([name]) => !SECRET_PARAMETERS.includes(name)),
    ),
  };
}

export function sessionFacts({ oidc }: KoaContextWithOIDC): Pick<PostLoginEvent, 'session'> {
  const { session, client } = oidc;
  const id = client && session?.sidFor(client.clientId);
  const authenticatedAt = session?.authTime();
  if (session === undefined || id === undefined || authenticatedAt === undefined) return {};
  // A session has no `iat` before it is stored.
  const created_at = isoTime(session.iat ?? authenticatedAt);
  return { session: { id, created_at, authenticated_at: isoTime(authenticatedAt) } };
}

export function refreshTokenFacts(
  tenant: Tenant,
  token: RefreshToken | undefined,
): Pick<PostLoginEvent, 'refresh_token'> {
  if (token?.grantId === undefined) return {};
  const { grantId: id, clientId: client_id = '', sid, iiat, iat, exp } = token;
  const settings = findApplication(tenant, client_id)?.refresh_token;
  return {
    refresh_token: {
      id,
      client_id,
      ...(sid && { session_id: sid }),
      created_at: isoTime(iiat ?? iat),
      ...(exp && { expires_at: isoTime(exp) }),
      rotating: settings?.rotation_type === 'rotating',
    },
  };
}

function organizationFacts(organization: Organization): PostLoginEvent['organization'] {
  const { id, name, display_name = name, metadata } = organization;
  return { id, name, display_name, metadata };
}

/** @param seconds epoch seconds. */
function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
