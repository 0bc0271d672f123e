import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Configuration } from 'oidc-provider';
import { close, listen } from './app-under-test.ts';

// oidc-provider prints advice for production. This hides it.
for (const level of ['info', 'warn'] as const) {
  const say = console[level];
  console[level] = (...parts: unknown[]) => {
    if (!String(parts[0]).includes('oidc-provider ')) say(...parts);
  };
}
const { Provider } = await import('oidc-provider');

export const RESOURCE = 'https://orders.example.com/api';
export const CLIENT = { clientID: 'web', clientSecret: 'a secret: with a colon & 100%' };
/** Seconds. */
export const TOKEN_LIFETIME = 120;
export const API = { id: 'orders-api', secret: 'a secret of the API' };

const EVENTS = [
  'grant.success',
  'grant.error',
  'refresh_token.consumed',
  'pushed_authorization_request.success',
  'refresh_token.destroyed',
  'end_session.success',
  'backchannel.success',
  'backchannel.error',
] as const;

export interface BareProvider {
  /** Without a slash at its end. */
  readonly issuer: string;
  /** Documented events so far, in order. */
  readonly events: readonly string[];
  close(): Promise<void>;
}

/**
 * Starts oidc-provider 9 on a free port, with documented options only. It has its own pages for
 * sign-in, consent and logout, RFC 8707 `resource` instead of `audience`, rotation of refresh tokens,
 * and logout in both channels.
 */
export async function startBareProvider(
  baseURL: string,
  accessTokenFormat: 'jwt' | 'opaque',
): Promise<BareProvider> {
  const [server, issuer] = await listen();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const configuration: Configuration = {
    clients: [
      {
        client_id: CLIENT.clientID,
        client_secret: CLIENT.clientSecret,
        redirect_uris: [`${baseURL}/callback`],
        post_logout_redirect_uris: [baseURL],
        backchannel_logout_uri: `${baseURL}/backchannel-logout`,
        backchannel_logout_session_required: true,
        grant_types: ['authorization_code', 'refresh_token'],
      },
      {
        client_id: API.id,
        client_secret: API.secret,
        redirect_uris: [],
        response_types: [],
        grant_types: [],
      },
    ],
    cookies: { keys: [randomBytes(32)] },
    jwks: { keys: [privateKey.export({ format: 'jwk' })] },
    rotateRefreshToken: true,
    features: {
      backchannelLogout: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'read:orders write:orders',
          accessTokenFormat,
          accessTokenTTL: TOKEN_LIFETIME,
        }),
      },
    },
    async findAccount(_ctx, id) {
      return { accountId: id, claims: () => ({ sub: id }) };
    },
  };
  const provider = new Provider(issuer, configuration);
  const events: string[] = [];
  for (const name of EVENTS) provider.on(name as 'grant.success', () => events.push(name));
  server.on('request', provider.callback());
  return { issuer, events, close: () => close(server) };
}
