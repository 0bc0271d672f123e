import { setTimeout as wait } from 'node:timers/promises';
import {
  checkLogoutToken,
  LOGOUT_TOKEN_LIFETIME_SECONDS,
  type LogoutTokenClaims,
  readForm,
  type SignedJwtExpectations,
} from '@koa-oauth/issuer';
import type { Context } from 'koa';
import type { ClientContext } from '../client-context.ts';
import { hasCode, OidcError } from '../errors.ts';
import { type FindSigningKeys, verifyChecked } from '../oauth/signed-jwt.ts';
import { storeCall, storeKey } from '../session/session-store.ts';

/** Seconds after which a token can be used again if its first use did not end, as after a crash. */
const RESERVED_SECONDS = 10;
const POLL_MS = 50;
const MAX_POLLS = 20;

/**
 * Answers a request to the endpoint at which the issuer's server reports that a user signed out there
 * (OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8). The request comes from that server, so it has no
 * cookie: the token names the sessions.
 */
export async function answerBackChannelLogout(context: ClientContext, ctx: Context): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  try {
    if (ctx.method !== 'POST') {
      ctx.set('Allow', 'POST');
      refuse(ctx, 405, 'invalid_request', 'only POST is answered here');
      return;
    }
    await endSessions(context, await verify(context, ctx));
    ctx.status = 200;
    ctx.body = '';
  } catch (error) {
    const { status, headers = {} } = error as Partial<OidcError>;
    if (hasCode(error, 'ERR_LOGOUT_TOKEN')) {
      refuse(ctx, 400, 'invalid_request', `${error.message}: ${error.detail}`);
    } else if (status === 503) {
      ctx.set(headers as Record<string, string>);
      refuse(ctx, 503, 'temporarily_unavailable', 'the logout cannot be done right now');
    } else throw error;
    context.warn(error);
  }
}

async function verify(
  { options, issuer }: ClientContext,
  ctx: Context,
): Promise<LogoutTokenClaims> {
  if (ctx.get('Origin') || ctx.get('Sec-Fetch-Site')) throw invalid('a browser sent it');
  const unverified = (await readForm(ctx))('logout_token');
  if (!unverified) throw invalid('the form must contain exactly one "logout_token"');
  const metadata = await issuer.metadata();
  return verifyLogoutToken(unverified, (header) => issuer.signingKeys(header), {
    issuer: metadata.issuer,
    clientID: options.credentials.clientID,
    now: options.seconds(),
    clockTolerance: options.clockTolerance,
    algorithms: options.algorithms,
  });
}

/**
 * Verifies a logout token: the rules of OpenID Connect Back-Channel Logout 1.0 §2.6, except
 * that `jti` must be new.
 *
 * @throws OidcError `ERR_LOGOUT_TOKEN`, its `detail` naming the rule; or what `signingKeys` rejects with
 */
export async function verifyLogoutToken(
  unverified: string,
  signingKeys: FindSigningKeys,
  expected: SignedJwtExpectations,
): Promise<LogoutTokenClaims> {
  const check = () => checkLogoutToken(unverified, expected);
  return (await verifyChecked(unverified, check, signingKeys, 'ERR_LOGOUT_TOKEN')).claims;
}

/** Ends the sessions that a token names. After a failure the issuer may send the token again. */
async function endSessions(context: ClientContext, claims: LogoutTokenClaims): Promise<void> {
  const { options, store, sessions } = context;
  const { iss, iat, jti } = claims;
  const key = storeKey(JSON.stringify(['logout token', options.party, jti]));
  await reserveToken(context, key);
  try {
    const ended = await sessions.list.endAll(
      claims.sid === undefined ? ['sub', iss, claims.sub] : ['sid', iss, claims.sid],
    );
    context.reportEnded('backchannel', ended);
    // Until the token is too old, even if the store's clock differs.
    const used = Math.ceil(iat) + LOGOUT_TOKEN_LIFETIME_SECONDS + 2 * options.clockTolerance + 1;
    await storeCall(() => store.update(key, 1, { sealed: '', expiresAt: used }));
  } catch (error) {
    await storeCall(() => store.destroy(key)).catch(() => {});
    throw error;
  }
}

/**
 * Reserves the token for one request of all processes. Its record is stored like a session that no cookie
 * and no list names: at version 1 during the use, and at version 2 after it.
 *
 * @throws OidcError `ERR_LOGOUT_TOKEN` when it was used before, `ERR_SESSION_STORE` when the store fails or
 *   another request with this token takes too long
 */
async function reserveToken({ options, store }: ClientContext, key: string): Promise<void> {
  for (let polls = 1; ; polls += 1) {
    const startedAt = options.seconds();
    const record = { sealed: '', about: '', expiresAt: startedAt + RESERVED_SECONDS, terms: [] };
    try {
      await storeCall(() => store.create(key, { ...record, startedAt }));
      return;
    } catch (error) {
      const other = await storeCall(() => store.read(key));
      if (other && other.version > 1) throw invalid('"jti" was used before');
      if (!other || polls === MAX_POLLS) throw error;
    }
    await wait(POLL_MS);
  }
}

function refuse(ctx: Context, status: number, error: string, description: string): void {
  // An unread rest of the request would block the connection.
  if (!ctx.req.readableEnded) ctx.set('Connection', 'close');
  ctx.status = status;
  // RFC 6749 §5.2 allows no quotation marks.
  ctx.body = { error, error_description: description.replaceAll('"', "'") };
}

function invalid(detail: string): OidcError {
  return new OidcError('ERR_LOGOUT_TOKEN', { detail });
}
