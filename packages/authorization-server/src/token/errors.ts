import type { errors, KoaContextWithOIDC, Provider } from 'oidc-provider';
import { refuse } from '../http/body.ts';
import { DEVICE_CODE_GRANT, INTERVAL_SECONDS, NOT_CONFIRMED } from './device-code.ts';

type OIDCProviderError = errors.OIDCProviderError;

interface Auth0Error {
  readonly status: number;
  readonly error: string;
  readonly description: string;
}

/** Default: 403 `invalid_grant`. */
interface Row extends Partial<Auth0Error> {
  /** The engine's error code. */
  readonly when: string;
  /** Pattern of the engine's private detail; default: any. */
  readonly detail?: RegExp;
  readonly grantType?: RegExp;
  readonly description: string;
}

const WRONG_REDIRECT_URI = {
  status: 403,
  error: 'unauthorized_client',
  description:
    'The redirect URI is wrong. You sent %s, and we expected that of the authorization request',
};
const WRONG_VERIFIER = 'Failed to verify code verifier';
const WRONG_PROOF = { status: 400, error: 'invalid_dpop_proof' };
const NOT_ALLOWED = {
  status: 403,
  error: 'unauthorized_client',
  description: "Grant type '%s' not allowed for the client.",
};

/** Grant types of Auth0 that this server does not support. */
const KNOWN_GRANT_TYPES =
  /^(?:password|implicit|http:\/\/auth0\.com\/oauth\/grant-type\/(?:password-realm|mfa-oob|mfa-otp|mfa-recovery-code|passwordless\/otp)|urn:ietf:params:oauth:grant-type:(?:jwt-bearer|token-exchange)|urn:openid:params:grant-type:ciba|urn:okta:params:oauth:grant-type:webauthn)$/;

/** The first fitting row counts. Its texts are those of real tenants; the engine has one text for all. */
const TABLE: readonly Row[] = [
  // Faults of a proof have their own code (RFC 9449 §5).
  {
    when: 'invalid_grant',
    detail: /DPoP proof JWT Replay/,
    ...WRONG_PROOF,
    description: 'The DPoP proof was used before',
  },
  {
    when: 'invalid_grant',
    detail: /DPoP proof|jkt verification/,
    ...WRONG_PROOF,
    description: 'The DPoP proof is missing, or of another key',
  },
  { when: 'invalid_grant', detail: /code_verifier/, description: WRONG_VERIFIER },
  // A verifier of a wrong length or alphabet (RFC 7636 §4.1).
  { when: 'invalid_request', detail: /code_verifier/, description: WRONG_VERIFIER },
  { when: 'invalid_grant', detail: /redirect_uri/, ...WRONG_REDIRECT_URI },
  // A missing one (RFC 6749 §4.1.3).
  {
    when: 'invalid_request',
    detail: /redirect_uri/,
    grantType: /^authorization_code$/,
    ...WRONG_REDIRECT_URI,
  },
  {
    when: 'invalid_grant',
    grantType: /^authorization_code$/,
    description: 'Invalid authorization code',
  },
  {
    when: 'invalid_grant',
    grantType: /^refresh_token$/,
    description: 'Unknown or invalid refresh token.',
  },
  {
    when: 'invalid_grant',
    grantType: /:device_code$/,
    description: 'Invalid or expired device code.',
  },
  {
    when: 'authorization_pending',
    error: 'authorization_pending',
    description: 'User has yet to authorize device code.',
  },
  {
    when: 'slow_down',
    status: 429,
    error: 'slow_down',
    description: `You are polling faster than the specified interval of ${INTERVAL_SECONDS} seconds.`,
  },
  { when: 'expired_token', error: 'expired_token', description: 'The device code has expired.' },
  { when: 'invalid_client', status: 401, error: 'access_denied', description: 'Unauthorized' },
  {
    when: 'invalid_request',
    detail: /no client authentication/,
    status: 401,
    error: 'invalid_client',
    description: 'No client_id: name the application',
  },
  { when: 'invalid_request', detail: /is not allowed for this client/, ...NOT_ALLOWED },
  { when: 'unsupported_grant_type', grantType: KNOWN_GRANT_TYPES, ...NOT_ALLOWED },
  {
    when: 'unsupported_grant_type',
    error: 'unsupported_grant_type',
    description: 'Unsupported grant type: %s',
  },
];

const MAX_SHOWN_LENGTH = 100;

export function answerRefusals(provider: Provider): void {
  const answer = (ctx: KoaContextWithOIDC, error: OIDCProviderError, grantType: unknown): void => {
    const sent = String(ctx.oidc.params?.redirect_uri ?? null);
    const refusal = toAuth0Error(error, typeof grantType === 'string' ? grantType : '', sent);
    if (refusal) refuse(ctx, refusal.status, refusal.error, refusal.description);
  };
  provider.on('grant.error', (ctx, error) => answer(ctx, error, ctx.oidc.params?.grant_type));
  provider.on('device_authorization.error', (ctx, error) => answer(ctx, error, DEVICE_CODE_GRANT));
  provider.on('device_authorization.success', (_ctx, body) => {
    body.interval = INTERVAL_SECONDS;
  });
}

/** Returns Auth0's answer; undefined where the engine's own will do. */
export function toAuth0Error(
  error: OIDCProviderError,
  grantType: string,
  redirectUri = '',
): Auth0Error | undefined {
  // Refused by a credentials-exchange Action, with a reason of its own.
  if (error.name === 'CustomOIDCProviderError') return undefined;
  const cause = error.cause instanceof Error ? error.cause.message : '';
  const detail = `${error.error_detail ?? ''} ${error.error_description ?? ''} ${cause}`;
  if (error.error === 'access_denied') {
    const text = error.error_description ?? 'Unauthorized';
    // The engine's text for a user who does not confirm the device.
    const description = text === 'End-User aborted interaction' ? NOT_CONFIRMED : text;
    return { status: 403, error: 'access_denied', description };
  }
  const row = TABLE.find(
    ({ when, detail: pattern, grantType: only }) =>
      when === error.error && (pattern?.test(detail) ?? true) && (only?.test(grantType) ?? true),
  );
  if (row === undefined) return undefined;
  const { status = 403, error: code = 'invalid_grant' } = row;
  const sent = row.description === WRONG_REDIRECT_URI.description ? redirectUri : grantType;
  const description = row.description.replace('%s', () => printable(sent));
  return { status, error: code, description };
}

function printable(value: string): string {
  const text = value.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text;
}
