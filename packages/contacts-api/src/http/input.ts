import { bodyParser } from '@koa/bodyparser';
import type { Middleware } from 'koa';
import type { z } from 'zod';
import { ApiError, type FieldError } from '../errors.ts';

const MAX_FORM_SIZE = '16kb';
const MAX_JSON_SIZE = '64kb';
/** A body has room for thousands of wrong fields. */
const MAX_FIELD_ERRORS = 50;

const onError = (error: Error & { status?: number }) => {
  throw new ApiError('ERR_UNREADABLE_BODY', { status: error.status === 413 ? 413 : 400 });
};

/** Reads a form body, only so that `auth` can reject a token in it (RFC 6750 §2.2). */
export function readForm(): Middleware {
  const parse = bodyParser({ enableTypes: ['form'], formLimit: MAX_FORM_SIZE, onError });
  return async function readForm(ctx, next) {
    if (ctx.is('urlencoded')) await parse(ctx, next);
    else await next();
  };
}

/** @throws ApiError `ERR_UNSUPPORTED_MEDIA_TYPE` (415), `ERR_UNREADABLE_BODY` (400, 413) */
export function readJson(types: readonly string[]): Middleware {
  const extendTypes = { json: [...types] };
  const parse = bodyParser({
    enableTypes: ['json'],
    extendTypes,
    jsonLimit: MAX_JSON_SIZE,
    onError,
  });
  return async function readJson(ctx, next) {
    const { type, charset, length } = ctx.request;
    if (
      !types.includes(type) ||
      !/^(?:utf-?8)?$/i.test(charset) ||
      !isKnownEncoding(ctx.get('Content-Encoding'))
    ) {
      // `Accept`: RFC 9110 §15.5.16; `Accept-Patch`: RFC 5789 §2.2.
      const header = ctx.method === 'PATCH' ? 'Accept-Patch' : 'Accept';
      throw new ApiError('ERR_UNSUPPORTED_MEDIA_TYPE', {
        message: `send the body as ${types.join(' or ')}`,
        headers: { [header]: types.join(', ') },
      });
    }
    if (length === 0) throw new ApiError('ERR_UNREADABLE_BODY', { status: 400 });
    await parse(ctx, next);
  };
}

/**
 * @param status 400 for a query, 422 for a body
 * @throws ApiError `ERR_INVALID_INPUT` that names each wrong field
 */
export function readInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  status: 400 | 422,
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  throw invalidInput(
    status,
    error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({
          field: key.slice(0, 100),
          message: 'is unknown: remove it',
        }));
      }
      const field = issue.path.join('.') || 'body';
      if (issue.code !== 'invalid_type') return { field, message: issue.message };
      const isMissing = issue.input === undefined;
      return { field, message: isMissing ? 'is required' : `must be of type ${issue.expected}` };
    }),
  );
}

export function invalidInput(status: 400 | 422, faults: readonly FieldError[]): ApiError {
  const errors = faults.slice(0, MAX_FIELD_ERRORS);
  const names = errors.map(({ field }) => field).join(', ');
  return new ApiError('ERR_INVALID_INPUT', {
    status,
    message: `these fields are wrong: ${names}`,
    errors,
  });
}

// The parser would report an encoding that it can't decode as malformed JSON.
function isKnownEncoding(encoding: string): boolean {
  return /^(?:|identity|gzip|deflate|br)$/i.test(encoding);
}
