import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';
import { UnreadableBody, UnsupportedMediaType } from './errors.ts';

type Parser = ReturnType<typeof bodyParser>;
type ParserContext = Parameters<Parser>[0];

const unreadable = (error: Error & { status?: number }) => {
  throw new UnreadableBody(error.status === 413 ? 413 : 400);
};

const parseForm = bodyParser({ enableTypes: ['form'], formLimit: '16kb', onError: unreadable });

/** Reads a form, if one comes, only so that a token in it can be refused (RFC 6750 §2.2). */
export const form: Middleware = async function form(ctx, next) {
  if (ctx.is('urlencoded')) await parseForm(ctx as ParserContext, next);
  else await next();
};

/**
 * Reads a JSON body of one of these media types.
 *
 * @throws UnsupportedMediaType (415), UnreadableBody (400, 413)
 */
export function json(types: readonly string[]): Middleware {
  const parse = bodyParser({
    enableTypes: ['json'],
    extendTypes: { json: [...types] },
    jsonLimit: '64kb',
    onError: unreadable,
  });
  return async function json(ctx, next) {
    const { type, charset, length } = ctx.request;
    if (
      !types.includes(type) ||
      !/^(?:utf-?8)?$/i.test(charset) ||
      isUnknownEncoding(ctx.get('Content-Encoding'))
    )
      throw new UnsupportedMediaType(ctx.method, types);
    if (length === 0) throw new UnreadableBody(400);
    await parse(ctx as ParserContext, next);
  };
}

// What the parser can undo; anything else it would take for a fault of the text.
function isUnknownEncoding(encoding: string): boolean {
  return !/^(?:|identity|gzip|deflate|br)$/i.test(encoding);
}
