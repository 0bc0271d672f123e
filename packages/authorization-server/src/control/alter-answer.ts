import type { Context } from 'koa';
import type { Fault } from './faults.ts';

const OTHER_ISSUER = 'https://other-issuer.example/';
const OVERSIZE = 8 * 1024 * 1024;

/** Makes of a good answer the wrong one that a fault asks for. */
export function alterAnswer(ctx: Context, fault: Fault): void {
  const { body } = ctx;
  if (fault.contentType !== undefined) {
    ctx.set('content-type', fault.contentType);
  } else if (fault.garbage) {
    const type = ctx.response.get('content-type') || 'application/json; charset=utf-8';
    ctx.body = '{"keys":[{"kty":<!doctype html>';
    ctx.set('content-type', type);
  } else if (fault.oversized) {
    const padding = 'x'.repeat(OVERSIZE);
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
