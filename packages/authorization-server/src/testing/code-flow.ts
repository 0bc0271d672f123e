import { hash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ROUTES } from '../endpoints.ts';
import { readOptions, strict } from '../options.ts';
import { hasPlaceholder } from '../tenant/allowed-urls.ts';
import { authenticationMethod } from '../tenant/applications.ts';
import { type Application, findApi, requestableScopes, type Tenant } from '../tenant/tenant.ts';
import { type Credentials, signIn } from './sign-in.ts';

/** A request for tokens: user, client, API. */
export interface TokenRequest {
  /** Id, e-mail address, or its part before the @; default: the first user with a password. */
  readonly user?: string | undefined;
  /** `client_id`; default: the first application with a login and a callback. */
  readonly client?: string | undefined;
  /** Identifier of an API; default: the first; empty: the tenant's default, else an opaque token. */
  readonly audience?: string | undefined;
  /** Separated by spaces; default: all of OpenID Connect and of the API that the client may get. */
  readonly scope?: string | undefined;
  /** Id, or a name where the tenant accepts names. */
  readonly organization?: string | undefined;
  /** More parameters of the authorization request, such as `nonce`; they override those above. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

const text = z.string('must be a text');

const tokenRequestSchema = strict({
  user: text.optional(),
  client: text.optional(),
  audience: text.optional(),
  scope: text.optional(),
  organization: text.optional(),
  parameters: z.record(z.string(), text, 'must be an object').optional(),
});

/** RFC 6749 §5.1, OpenID Connect Core §3.1.3.3. */
export interface TokenResponse {
  readonly access_token: string;
  readonly token_type: string;
  /** Seconds. */
  readonly expires_in: number;
  readonly scope?: string;
  readonly id_token?: string;
  readonly refresh_token?: string;
}

/**
 * Gets tokens through the authorization code flow with PKCE, over HTTP: sign-in page, consent page,
 * callback, token endpoint.
 *
 * @throws Error with the server's text when it refuses, or naming what is wrong, or not in the tenant.
 */
export async function requestTokens(
  issuer: string,
  tenant: Tenant,
  options: TokenRequest = {},
): Promise<TokenResponse> {
  const request = readOptions(tokenRequestSchema, options);
  const application = applicationOf(tenant, request.client);
  const [redirectURI = ''] = callbacksOf(application);
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  const audience = request.audience ?? tenant.resourceServers[0]?.identifier ?? '';
  const api = findApi(tenant, audience || tenant.tenant.default_audience);
  const url = new URL(ROUTES.authorization.slice(1), issuer);
  const parameters = {
    response_type: 'code',
    client_id: application.client_id,
    redirect_uri: redirectURI,
    scope: request.scope ?? requestableScopes(application, api).join(' '),
    state,
    code_challenge: hash('sha256', verifier, 'base64url'),
    code_challenge_method: 'S256',
    ...(audience && { audience }),
    ...(request.organization && { organization: request.organization }),
    ...request.parameters,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);

  const response = await signIn(url.href, redirectURI, credentialsOf(tenant, request.user));
  const answer = response.searchParams;
  if (answer.get('state') !== parameters.state) throw new Error('the state came back changed');
  const code = answer.get('code');
  if (code === null) throw refusal(answer.get('error'), answer.get('error_description'));
  return exchange(issuer, application, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectURI,
    code_verifier: verifier,
  });
}

/** Returns the user's e-mail address and password. @throws Error naming the users that there are. */
export function credentialsOf(tenant: Pick<Tenant, 'users'>, name?: string): Credentials {
  const { users } = tenant;
  const found = users.find(({ user_id, email, password, blocked }) =>
    name === undefined
      ? password !== undefined && !blocked
      : [user_id, email, email.slice(0, email.indexOf('@'))].includes(name),
  );
  if (found?.password !== undefined) return { email: found.email, password: found.password };
  if (found !== undefined) {
    throw new Error(`the tenant has no readable password of ${found.email}; sign in by hand`);
  }
  const known = users.map(({ email }) => email).join(', ');
  throw new Error(
    name === undefined
      ? 'the tenant has no user with a readable password'
      : `the tenant has no user "${name}"; it has ${known}`,
  );
}

function applicationOf({ clients }: Tenant, clientId: string | undefined): Application {
  const able = clients.filter(
    (client) => client.grant_types.includes('authorization_code') && callbacksOf(client).length > 0,
  );
  const found =
    clientId === undefined ? able[0] : able.find(({ client_id }) => client_id === clientId);
  if (found !== undefined) return found;
  if (able.length === 0) {
    const needed = 'the grant type authorization_code and a callback without a placeholder';
    throw new Error(`the tenant has no application with ${needed}`);
  }
  const known = able.map(({ client_id }) => client_id).join(', ');
  throw new Error(`client is "${clientId}": give one with a login and a callback: ${known}`);
}

function callbacksOf({ callbacks }: Application): string[] {
  return callbacks.filter((callback) => !hasPlaceholder(callback));
}

async function exchange(
  issuer: string,
  application: Application,
  form: Record<string, string>,
): Promise<TokenResponse> {
  const { client_id, client_secret = '' } = application;
  const method = authenticationMethod(application);
  const body = new URLSearchParams(form);
  const headers: Record<string, string> = {};
  if (method === 'client_secret_basic') {
    // Both are form-encoded first (RFC 6749 §2.3.1).
    const pair = [client_id, client_secret].map(encodeURIComponent).join(':');
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  } else if (method === 'client_secret_post' || method === 'none') {
    body.set('client_id', client_id);
    if (method !== 'none') body.set('client_secret', client_secret);
  } else {
    throw new Error(`client ${client_id} proves who it is by ${method}: give one with a secret`);
  }
  const answer = await fetch(new URL(ROUTES.token.slice(1), issuer), {
    method: 'POST',
    headers,
    body,
  });
  const content = (await answer.json()) as TokenResponse & Record<string, string | undefined>;
  if (answer.ok) return content;
  throw refusal(content.error, content.error_description);
}

function refusal(error: string | null | undefined, description: string | null | undefined): Error {
  return new Error(
    `the authorization server refused: ${error ?? 'no error given'}: ${description ?? ''}`,
  );
}
