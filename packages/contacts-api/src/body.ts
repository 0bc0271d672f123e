import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';
import { UnreadableBody, UnsupportedMediaType } from './errors.ts';

const onError = (error: Error & { status?: number }) => {
  throw new UnreadableBody(error.status === 413 ? 413 : 400);
};

const parseForm: Middleware = bodyParser({ enableTypes: ['form'], formLimit: '16kb', onError });
const parseJson: Middleware = bodyParser({ enableTypes: ['json'], jsonLimit: '64kb', onError });

/** Reads a form, if one comes, only so that a token in it can be refused (RFC 6750 §2.2). */
export const form: Middleware = async function form(ctx, next) {
  if (ctx.is('urlencoded')) await parseForm(ctx as Parameters<typeof parseForm>[0], next);
  else await next();
};

/** Reads a JSON body. @throws UnsupportedMediaType (415), UnreadableBody (400, 413) */
export const json: Middleware = async function json(ctx, next) {
  if (!ctx.is('json')) throw new UnsupportedMediaType();
  await parseJson(ctx as Parameters<typeof parseJson>[0], next);
};
