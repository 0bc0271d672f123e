import { setTimeout as wait } from 'node:timers/promises';
import type { Context } from 'koa';
import type { ClientContext } from '../client-context.ts';
import { hasCode, OidcError } from '../errors.ts';
import {
  LOGOUT_TOKEN_LIFETIME_SECONDS,
  type LogoutTokenClaims,
  verifyLogoutToken,
} from '../oauth/logout-token.ts';
import { storeCall, storeKey } from '../session/session-store.ts';

const MAX_FORM_BYTES = 64 * 1024;
/** Seconds after which a token can be used again if it is not known how its use ended. */
const CLAIM_SECONDS = 10;
const POLL_MS = 50;
const MAX_POLLS = 20;

/**
 * Answers a request to the endpoint at which the issuer's server reports that a user signed out there
 * (OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8). No browser is involved, so there is no
 * cookie: the token says it all.
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
  const unverified = await readFormField(ctx, 'logout_token', MAX_FORM_BYTES);
  if (!unverified) throw invalid('the form must contain exactly one "logout_token"');
  const metadata = await issuer.metadata();
  return verifyLogoutToken(unverified, (header) => issuer.signingKeys(header), {
    issuer: metadata.issuer,
    clientID: options.credentials.clientID,
    now: options.seconds(),
    clockTolerance: options.clockTolerance,
  });
}

/** Ends what a token is about. Its sender may repeat it after a failure here. */
async function endSessions(context: ClientContext, claims: LogoutTokenClaims): Promise<void> {
  const { options, store, sessions } = context;
  const { iss, iat, jti } = claims;
  const key = storeKey(JSON.stringify(['logout token', options.party, jti]));
  await claimToken(context, key);
  try {
    const ended = await sessions.list.endAll(
      claims.sid === undefined ? ['sub', iss, claims.sub] : ['sid', iss, claims.sid],
    );
    context.reportEnded('backchannel', ended);
    // Until the token is too old, even if the store's clock differs.
    const used = Math.ceil(iat) + LOGOUT_TOKEN_LIFETIME_SECONDS + 2 * options.clockTolerance + 1;
    await storeCall(() => store.update(key, 1, { sealed: '', expiresAt: used }));
  } catch (error) {
    await store.destroy(key).catch(() => {});
    throw error;
  }
}

/**
 * Stores a record of the token, alone among all processes: at version 1 while it is being used, then at
 * version 2. It is one like that of a session, which no cookie names and no list contains.
 *
 * @throws OidcError `ERR_LOGOUT_TOKEN` when it was used before, `ERR_SESSION_STORE` when the store fails or
 *   another request does not come to an end
 */
async function claimToken({ options, store }: ClientContext, key: string): Promise<void> {
  for (let polls = 1; ; polls += 1) {
    const startedAt = options.seconds();
    const record = { sealed: '', about: '', expiresAt: startedAt + CLAIM_SECONDS, terms: [] };
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
  // RFC 6749 §5.2 wants no quotation marks in it.
  ctx.body = { error, error_description: description.replaceAll('"', "'") };
}

function invalid(detail: string): OidcError {
  return new OidcError('ERR_LOGOUT_TOKEN', { detail });
}

/**
 * Reads a field of a posted form, from the request itself or from what a body parser before us made
 * of it (`ctx.request.body`).
 *
 * @param maxLength bytes of the whole form
 * @returns undefined when it is not there, or there twice, or the request can't be read as a form
 */
export async function readFormField(
  ctx: Pick<Context, 'req' | 'request' | 'is'>,
  name: string,
  maxLength: number,
): Promise<string | undefined> {
  if (ctx.req.readableDidRead) return fieldOf((ctx.request as { body?: unknown }).body, name);
  if (!ctx.is('application/x-www-form-urlencoded')) return undefined;
  const body = await readText(ctx.req, maxLength).catch(() => undefined);
  const values = new URLSearchParams(body).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

function fieldOf(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value = (body as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

async function readText(request: Context['req'], maxLength: number): Promise<string | undefined> {
  if (Number(request.headers['content-length']) > maxLength) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  // The answer needs the connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += chunk.length;
    if (length > maxLength) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
