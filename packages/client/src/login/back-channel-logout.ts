import { createHash } from 'node:crypto';
import type { AuthorizationServerMetadata } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import { hasCode, OidcError } from '../errors.ts';
import type { EmitClientEvent } from '../events.ts';
import {
  LOGOUT_TOKEN_LIFETIME,
  type LogoutTokenClaims,
  verifyLogoutToken,
} from '../oauth/logout-token.ts';
import type { FindSigningKey } from '../oauth/signed-jwt.ts';
import type { Sessions } from '../session/session.ts';
import { reached, type SessionStore } from '../session/session-store.ts';

/** Answers a request to the back-channel logout endpoint, whatever it is. */
export type BackChannelLogout = (ctx: Context) => Promise<void>;

interface BackChannelLogoutOptions {
  issuer: { metadata(): Promise<AuthorizationServerMetadata>; signingKey: FindSigningKey };
  sessions: Pick<Sessions, 'endBySid' | 'endBySub'>;
  /** Remembers which tokens were used. */
  store: Pick<SessionStore, 'once'>;
  clientID: string;
  /** Seconds that the clocks may differ. */
  clockTolerance: number;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Told of each logout token that was refused, and of each that has to be sent again. */
  onWarning: (error: Error) => void;
  emit: EmitClientEvent;
}

const MAX_FORM = 64 * 1024;
/** Of one token, as its sender may repeat it after a failure of ours. */
const MAX_TRIES = 3;

/**
 * The issuer's server tells that a user signed out there (OpenID Connect Back-Channel Logout 1.0
 * §2.5 to §2.8). No browser is involved, so there is no cookie: the token says it all.
 */
export function createBackChannelLogout(options: BackChannelLogoutOptions): BackChannelLogout {
  const { issuer, sessions, store, clientID, clockTolerance, now, onWarning, emit } = options;

  async function verify(ctx: Context): Promise<LogoutTokenClaims> {
    if (ctx.get('Origin') || ctx.get('Sec-Fetch-Site')) throw invalid('a browser sent it');
    const unverified = await readFormField(ctx, 'logout_token', MAX_FORM);
    if (!unverified) throw invalid('the form has not one "logout_token"');
    const { issuer: identifier } = await issuer.metadata();
    return verifyLogoutToken(unverified, issuer.signingKey, {
      issuer: identifier,
      clientID,
      now: Math.floor(now() / 1000),
      clockTolerance,
    });
  }

  /** Ends what a token is about, once: only after a failure may the same one come again. */
  async function end(claims: LogoutTokenClaims): Promise<void> {
    const { iss, iat, jti } = claims;
    const hash = createHash('sha256').update(jti).digest('base64url');
    // Until the token is too old, also by a store's clock that differs.
    const until = Math.ceil(iat) + LOGOUT_TOKEN_LIFETIME + 2 * clockTolerance + 1;
    const isFirst = (turn: number) => reached(() => store.once(`logout ${hash} ${turn}`, until));

    let turn = 1;
    while (!(await isFirst(turn))) {
      turn += 1;
      if (turn > MAX_TRIES) throw invalid('"jti" was used before');
    }
    const ended = await (claims.sid === undefined
      ? sessions.endBySub(iss, claims.sub)
      : sessions.endBySid(iss, claims.sid));
    if (ended > 0) emit({ type: 'session_ended', reason: 'backchannel', sessions: ended });
    for (turn += 1; turn <= MAX_TRIES; turn += 1) await isFirst(turn);
  }

  return async function backChannelLogout(ctx) {
    ctx.set('Cache-Control', 'no-store');
    try {
      if (ctx.method !== 'POST') {
        ctx.set('Allow', 'POST');
        answer(ctx, 405, 'invalid_request', 'only POST is answered here');
        return;
      }
      await end(await verify(ctx));
      ctx.status = 200;
      ctx.body = '';
    } catch (error) {
      const { status, headers = {} } = error as Partial<OidcError>;
      if (hasCode(error, 'ERR_LOGOUT_TOKEN')) {
        answer(ctx, 400, 'invalid_request', `${error.message}: ${error.detail}`);
      } else if (status === 503) {
        ctx.set(headers as Record<string, string>);
        answer(ctx, 503, 'temporarily_unavailable', 'the logout cannot be done right now');
      } else throw error;
      onWarning(error as Error);
    }
  };
}

function answer(ctx: Context, status: number, error: string, description: string): void {
  // What was not read of the request would hold the connection up.
  if (!ctx.req.readableEnded) ctx.set('Connection', 'close');
  ctx.status = status;
  // RFC 6749 §5.2 wants no quotation marks in it.
  ctx.body = { error, error_description: description.replaceAll('"', "'") };
}

function invalid(detail: string): OidcError {
  return new OidcError('ERR_LOGOUT_TOKEN', { detail });
}

/**
 * A field of a form that was posted, read from the request itself, or from what a body parser before
 * us made of it (`ctx.request.body`).
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
  const body = await read(ctx.req, maxLength).catch(() => undefined);
  const values = new URLSearchParams(body).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

function fieldOf(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value = (body as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

async function read(request: Context['req'], maxLength: number): Promise<string | undefined> {
  if (Number(request.headers['content-length']) > maxLength) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxLength) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
