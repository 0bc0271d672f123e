import { setTimeout as wait } from 'node:timers/promises';
import type { Context, Middleware, Next } from 'koa';
import { endpointOf, METADATA_PATHS, oidcOf, ROUTES } from '../endpoints.ts';
import { refuse } from '../http/body.ts';
import { refuseTooMany } from '../http/limits.ts';
import type { Fault, Faults } from './faults.ts';

type OnFault = (ctx: Context, fault: string) => void;

export function injectFaults(faults: Faults, onFault: OnFault): Middleware {
  return async function injectFaults(ctx: Context, next: Next) {
    const endpoint = faultyEndpointOf(ctx);
    // A preflight is the browser's request, not the client's.
    if (endpoint === undefined || ctx.method === 'OPTIONS') return next();
    const fault = faults.consume(endpoint, ({ loseRefreshResponse }) => !loseRefreshResponse);
    if (fault?.delay !== undefined) await wait(fault.delay, undefined, { ref: false });
    if (fault?.reset) cut(ctx);
    else if (fault?.status !== undefined) answerStatus(ctx, fault);
    else if (fault?.rateLimited) answerRateLimited(ctx);
    else if (fault?.refuseProof) answerWrongProof(ctx, endpoint);
    else {
      ctx.state.demandsNonce = fault?.demandNonce;
      await next();
    }
    if (fault?.halfBody) await sendHalf(ctx);
    else if (fault !== undefined && ctx.respond !== false) alterAnswer(ctx, fault);
    if (fault !== undefined) onFault(ctx, describe(fault));
    else if (isRefreshed(ctx)) await loseResponse(ctx, endpoint, faults, onFault);
  };
}

async function loseResponse(
  ctx: Context,
  endpoint: string,
  faults: Faults,
  onFault: OnFault,
): Promise<void> {
  const lost = faults.consume(endpoint, ({ loseRefreshResponse }) => loseRefreshResponse === true);
  if (lost === undefined) return;
  if (lost.delay !== undefined) await wait(lost.delay, undefined, { ref: false });
  cut(ctx);
  onFault(ctx, describe(lost));
}

/** Returns one endpoint for both paths of the metadata: a client may read either of them. */
function faultyEndpointOf(ctx: Context): string | undefined {
  const endpoint = endpointOf(ctx);
  return METADATA_PATHS.includes(endpoint ?? '') ? METADATA_PATHS[0] : endpoint;
}

function isRefreshed(ctx: Context): boolean {
  return ctx.status === 200 && oidcOf(ctx)?.params?.grant_type === 'refresh_token';
}

/** Returns the kind of a fault and its delay, for the log. */
function describe(fault: Fault): string {
  return Object.entries(fault)
    .filter(
      ([name, value]) => value !== undefined && !['endpoint', 'times', 'every'].includes(name),
    )
    .map(([name, value]) => (value === true ? name : `${name} ${value}`))
    .join(', ');
}

const REQUESTED = 'A fault that was requested at the control port.';

function answerStatus(ctx: Context, { status = 500, retryAfter }: Fault): void {
  if (retryAfter !== undefined) ctx.set('Retry-After', String(retryAfter));
  const serverError = status === 503 ? 'temporarily_unavailable' : 'server_error';
  refuse(ctx, status, status >= 500 ? serverError : 'invalid_request', REQUESTED);
}

function answerWrongProof(ctx: Context, endpoint: string): void {
  const isUserinfo = endpoint === ROUTES.userinfo;
  if (isUserinfo) ctx.set('WWW-Authenticate', 'DPoP error="invalid_dpop_proof", algs="ES256"');
  refuse(ctx, isUserinfo ? 401 : 400, 'invalid_dpop_proof', REQUESTED);
}

function answerRateLimited(ctx: Context): void {
  const resetAt = Math.floor(Date.now() / 1000) + 1;
  ctx.set({ 'X-RateLimit-Limit': '1', 'X-RateLimit-Remaining': '0' });
  ctx.set('X-RateLimit-Reset', String(resetAt));
  refuseTooMany(ctx, 1);
}

function cut(ctx: Context): void {
  ctx.respond = false;
  ctx.req.socket.resetAndDestroy();
}

/** Announces the whole body, sends the first half of it and closes the connection. */
async function sendHalf(ctx: Context): Promise<void> {
  const { body, status, res } = ctx;
  const text =
    typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body ?? '');
  const content = Buffer.from(text);
  ctx.respond = false;
  res.statusCode = status;
  res.setHeader('content-length', content.length);
  // Half a body never ends by itself: the connection is closed after it.
  await new Promise<void>((sent) => {
    res.once('close', sent);
    res.write(content.subarray(0, Math.floor(content.length / 2)), () => {
      ctx.req.socket.destroySoon();
    });
  });
}

const OTHER_ISSUER = 'https://other-issuer.example/';
const OVERSIZE_BYTES = 8 * 1024 * 1024;

function alterAnswer(ctx: Context, fault: Fault): void {
  const { body } = ctx;
  if (fault.contentType !== undefined) {
    ctx.set('content-type', fault.contentType);
  } else if (fault.garbage) {
    const type = ctx.response.get('content-type') || 'application/json; charset=utf-8';
    ctx.body = '{"keys":[{"kty":<!doctype html>';
    ctx.set('content-type', type);
  } else if (fault.oversized) {
    const padding = 'x'.repeat(OVERSIZE_BYTES);
    ctx.body = isObject(body) ? { ...body, padding } : `${body ?? ''}${padding}`;
  } else if (fault.otherIssuer && isObject(body)) {
    ctx.body = { ...body, issuer: OTHER_ISSUER };
  } else if (fault.emptyKeySet) {
    ctx.body = { keys: [] };
  } else if (fault.wrongKids && isObject(body)) {
    const keys = (body as { keys: object[] }).keys;
    ctx.body = { keys: keys.map((key, index) => ({ ...key, kid: `other-${index + 1}` })) };
  }
}

function isObject(body: unknown): body is object {
  return typeof body === 'object' && body !== null && !Buffer.isBuffer(body);
}
