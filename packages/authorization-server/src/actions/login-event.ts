import type { KoaContextWithOIDC, RefreshToken } from 'oidc-provider';
import { splitScope } from '../claims/scope-changes.ts';
import { sessionSeconds } from '../login/session-lifetime.ts';
import type { ConnectionFacts } from '../tenant/connections.ts';
import {
  type Api,
  apiOf,
  findApplication,
  type Organization,
  type Tenant,
  type User,
} from '../tenant/tenant.ts';
import { describeConnection, identitiesOf } from '../tenant/users.ts';
import type { AuthenticationMethod } from './login-outcome.ts';
import type { TransactionMetadata } from './metadata.ts';
import type { Device, StoredTerms } from './session-terms.ts';

/** "Actions Triggers: post-login, Event object"; each Action gets its `secrets` in addition. */
export interface PostLoginEvent extends Partial<Pick<TenantFacts, 'custom_domain'>> {
  readonly user: UserFacts;
  readonly client: ClientFacts;
  readonly connection: ConnectionFacts;
  readonly authorization: { roles: string[] };
  readonly authentication: { methods: AuthenticationMethod[]; riskAssessment?: object };
  readonly stats: { logins_count: number };
  readonly organization?:
    | { id: string; name: string; display_name: string; metadata: Record<string, unknown> }
    | undefined;
  readonly resource_server?: { identifier: string };
  /** The sign-in; times in ISO 8601. Its `id` is the `sid` of the ID token. */
  readonly session?: SessionFacts;
  /** The refresh token at a refresh; times in ISO 8601. Its `id` is the grant's, never the token. */
  readonly refresh_token?: RefreshTokenFacts;
  readonly security_context?: object;
  readonly tenant: { id: string };
  readonly transaction: {
    protocol: 'oidc-basic-profile' | 'oauth2-device-code' | 'oauth2-refresh-token';
    requested_scopes: string[];
    metadata?: TransactionMetadata;
    [parameter: string]: unknown;
  };
  readonly request: RequestFacts & { query: Record<string, unknown> };
}

/** The profile in the tenant file, without its secrets, and more facts. */
interface UserFacts {
  readonly [member: string]: unknown;
  readonly user_id: string;
  readonly app_metadata: Record<string, unknown>;
  readonly user_metadata: Record<string, unknown>;
  readonly enrolledFactors?: readonly { readonly type: string }[];
}

interface SessionFacts {
  readonly id: string;
  readonly user_id: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly authenticated_at: string;
  readonly last_interacted_at: string;
  readonly expires_at: string;
  readonly idle_expires_at: string;
  readonly clients: readonly { readonly client_id: string }[];
  readonly cookie: { readonly mode: 'persistent' | 'non-persistent' };
  readonly device: Device;
  readonly metadata: Readonly<Record<string, string>>;
}

interface RefreshTokenFacts {
  readonly id: string;
  readonly client_id: string;
  readonly user_id: string;
  readonly session_id?: string;
  readonly created_at: string;
  readonly expires_at?: string;
  readonly idle_expires_at?: string;
  readonly last_exchanged_at?: string;
  readonly rotating: boolean;
  readonly resource_servers: readonly { readonly audience: string; readonly scopes: string }[];
  readonly device: Device;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Facts that only Auth0 can know: those of `event` in the tenant file. */
type TenantFacts = Tenant['event'];

export interface ClientFacts {
  readonly client_id: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly refresh_token?: { readonly policies: unknown };
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
  readonly asn?: string | undefined;
  readonly geoip?: TenantFacts['request']['geoip'];
}

/** Facts of one login or refresh; some are parts of the event already. */
interface LoginFacts
  extends Pick<PostLoginEvent, 'authentication' | 'stats' | 'session' | 'refresh_token'> {
  readonly user: User;
  readonly enrolledFactors?: readonly { readonly type: string }[];
  /** Times of the user's first and latest login, in ISO 8601. */
  readonly logins?: { readonly first: string; readonly latest: string };
  /** The same for all requests of one login. */
  readonly transactionId?: string | undefined;
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

/** Parameters in `event.transaction`, and those that are lists there. */
const TRANSACTION_PARAMETERS = 'redirect_uri state login_hint response_mode correlation_id'.split(
  ' ',
);
const LIST_PARAMETERS = ['acr_values', 'prompt', 'response_type', 'ui_locales'];

/** Parameters that no Action may see. */
const SECRET_PARAMETERS = `actor_token assertion client_assertion client_secret code code_verifier
  device_code mfa_token otp password refresh_token subject_token
  user_code xsrf`.split(/\s+/);

/** Maximum length of each text of a request, and maximum number of its parameters. */
const MAX_TEXT_LENGTH = 4096;
const MAX_PARAMETERS = 100;

export function toPostLoginEvent(tenant: Tenant, facts: LoginFacts): PostLoginEvent {
  const { user, clientId, api, organization, protocol, scope, params, request, ...others } = facts;
  const { logins, enrolledFactors = [], transactionId, authentication, ...parts } = others;
  const { riskAssessment } = tenant.event.authentication;
  const query = visibleParameters(params);
  const { custom_domain, security_context } = tenant.event;
  return {
    user: { ...userFacts(tenant, user, logins), ...factorFacts(enrolledFactors) },
    client: clientFacts(tenant, clientId),
    connection: describeConnection(tenant, user.user_id),
    authorization: { roles: [...user.roles] },
    ...(organization && { organization: organizationFacts(organization) }),
    ...(api && { resource_server: { identifier: api.identifier } }),
    ...(custom_domain && { custom_domain }),
    ...(security_context && { security_context }),
    ...parts,
    authentication: { ...authentication, ...(riskAssessment && { riskAssessment }) },
    tenant: { id: tenant.tenant.friendly_name },
    transaction: {
      ...(transactionId && { id: transactionId }),
      protocol,
      requested_scopes: splitScope(scope),
      metadata: {},
      // Auth0 always has these two.
      acr_values: [],
      ui_locales: [],
      locale: String(params.ui_locales ?? 'en').split(' ')[0],
      ...transactionFacts(query),
    },
    request: { ...request, ...settableFacts(tenant), query },
  };
}

/** Returns the facts of a request that only Auth0 can know, as the tenant file sets them. */
export function settableFacts({ event }: Tenant): Pick<RequestFacts, 'asn' | 'geoip'> {
  const { asn, geoip } = event.request;
  return { ...(asn && { asn }), geoip };
}

function transactionFacts(params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).flatMap(([name, value]) => {
      if (LIST_PARAMETERS.includes(name)) return [[name, splitScope(value)]];
      return TRANSACTION_PARAMETERS.includes(name) ? [[name, value]] : [];
    }),
  );
}

/** Returns `event.user`: the profile without the password, and defaults for missing members. */
function userFacts(tenant: Tenant, user: User, logins: LoginFacts['logins']): UserFacts {
  const now = new Date().toISOString();
  const { first = now, latest = now } = logins ?? {};
  const { password: _password, password_hash: _hash, roles: _roles, email, ...profile } = user;
  const nickname = user.nickname ?? (email.split('@')[0] || undefined);
  const identities = identitiesOf(tenant, user.user_id);
  return {
    created_at: first,
    updated_at: latest,
    identities,
    ...profile,
    ...(nickname && { nickname }),
    ...(email && { email }),
  } as UserFacts;
}

/** Returns the factors that the user has set up, and Auth0's names of their providers. */
export function factorFacts(enrolledFactors: readonly { readonly type: string }[]) {
  const second = enrolledFactors.some(({ type }) => type !== 'email');
  return { enrolledFactors, multifactor: second ? ['guardian'] : [] };
}

export function clientFacts(tenant: Tenant, clientId: string): ClientFacts {
  const application = findApplication(tenant, clientId);
  const { name = '', client_metadata: metadata = {} } = application ?? {};
  const policies: unknown = application?.refresh_token.policies;
  return {
    client_id: clientId,
    name,
    metadata,
    ...(policies ? { refresh_token: { policies } } : {}),
  };
}

export function requestFacts(ctx: KoaContextWithOIDC): RequestFacts {
  return {
    ip: ctx.req.socket.remoteAddress ?? '',
    method: ctx.method,
    user_agent: capped(ctx.get('user-agent')) as string,
    hostname: ctx.hostname,
    language: capped(ctx.get('accept-language')) as string,
    body: visibleParameters(ctx.oidc.body ?? {}),
  };
}

/** Returns the parameters that have a value and are not secret. Limits hold for hostile requests. */
export function visibleParameters(
  params: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const given = Object.entries(params).filter(
    ([name, value]) => value !== undefined && value !== '' && !SECRET_PARAMETERS.includes(name),
  );
  return Object.fromEntries(
    given
      .slice(0, MAX_PARAMETERS)
      .map(([name, value]) => [
        name.slice(0, MAX_TEXT_LENGTH),
        Array.isArray(value) ? value.slice(0, MAX_PARAMETERS).map(capped) : capped(value),
      ]),
  );
}

function capped(value: unknown): unknown {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT_LENGTH) : value;
}

/** @param terms facts that are stored for the session. */
export function sessionFacts(
  tenant: Tenant,
  { oidc }: KoaContextWithOIDC,
  terms: StoredTerms,
): Pick<PostLoginEvent, 'session'> {
  const { session, client } = oidc;
  const id = client && session?.sidFor(client.clientId);
  const authenticatedAt = session?.authTime();
  if (session === undefined || id === undefined || authenticatedAt === undefined) return {};
  // A session has no `iat` before it is stored.
  const createdAt = session.iat ?? authenticatedAt;
  const { absolute, idle } = sessionSeconds(tenant, session.transient);
  const { usedAt, device, metadata = {} } = terms;
  const expiresAt = (authenticatedAt + absolute) * 1000;
  const idleExpiresAt = usedAt + idle * 1000;
  return {
    session: {
      id,
      user_id: session.accountId ?? '',
      created_at: isoTime(createdAt),
      updated_at: isoTime(usedAt / 1000),
      authenticated_at: isoTime(authenticatedAt),
      last_interacted_at: isoTime(usedAt / 1000),
      expires_at: isoTime(Math.min(expiresAt, terms.expiresAt ?? expiresAt) / 1000),
      idle_expires_at: isoTime(Math.min(idleExpiresAt, terms.expiresAt ?? expiresAt) / 1000),
      clients: Object.keys(session.authorizations ?? {}).map((client_id) => ({ client_id })),
      cookie: { mode: session.transient ? 'non-persistent' : 'persistent' },
      device,
      metadata,
    },
  };
}

/** @param terms facts that are stored with the token's grant. */
export function refreshTokenFacts(
  tenant: Tenant,
  token: RefreshToken | undefined,
  terms: StoredTerms,
): Pick<PostLoginEvent, 'refresh_token'> {
  if (token?.grantId === undefined) return {};
  const { grantId: id, clientId: client_id = '', sid, iiat, iat, exp, scope = '' } = token;
  const settings = findApplication(tenant, client_id)?.refresh_token;
  const api = apiOf(tenant, token.resource);
  const idles = settings?.idle_token_lifetime !== undefined || terms.idleExpiresAt !== undefined;
  return {
    refresh_token: {
      id,
      client_id,
      user_id: token.accountId ?? '',
      ...(sid && { session_id: sid }),
      created_at: isoTime(iiat ?? iat),
      ...(exp && { expires_at: isoTime(exp) }),
      ...(exp && idles && { idle_expires_at: isoTime(exp) }),
      last_exchanged_at: isoTime(terms.usedAt / 1000),
      rotating: settings?.rotation_type === 'rotating',
      resource_servers: api ? [{ audience: api.identifier, scopes: scope }] : [],
      device: terms.device,
      metadata: terms.metadata ?? {},
    },
  };
}

function organizationFacts(organization: Organization): PostLoginEvent['organization'] {
  const { id, name, display_name = name, metadata } = organization;
  return { id, name, display_name, metadata };
}

/** @param seconds epoch seconds. */
export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
