import { METHODS } from 'node:http';
import { bodyParser } from '@koa/bodyparser';
import Router, { type RouterMiddleware } from '@koa/router';
import {
  AuthError,
  claimIncludes,
  hasDuplicateNames,
  requiredScopes,
  requiredSignIn,
} from '@koa-oauth/resource-server';
import type { Middleware } from 'koa';
import { z } from 'zod';
import { ApiError, invalidInput } from '../errors.ts';
import type { Needs, Operation, State } from '../operation.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Guards {
  /** Sets `ctx.state.auth`, if the request has a token. */
  readonly auth: Middleware;
  readonly limitSubjects: Middleware;
  /** Name of the custom claim that holds the roles. */
  readonly rolesClaim: string;
}

/**
 * Makes the routes of operations, with the checks that each declares. A literal segment of a path is
 * matched before a parameter, in whatever order the operations are declared.
 *
 * @throws Error when two operations would answer the same requests
 */
export function operationRoutes(operations: readonly Operation[], guards: Guards): Router<State> {
  const router = new Router<State>({ methods: METHODS, strict: true, sensitive: true });
  refuseSameShapes(operations);
  for (const operation of operations.toSorted(bySpecificity)) {
    const { method, path, needs, body } = operation;
    const stack: RouterMiddleware<State>[] = [
      ...(needs ? [readForm(), guards.auth, requireToken(needs), guards.limitSubjects] : []),
      ...(needs?.scope ? [requiredScopes(needs.scope)] : []),
      ...(needs?.role ? [claimIncludes(guards.rolesClaim, needs.role)] : []),
      // Last, because a new sign-in does not help a caller who lacks the rest.
      ...(needs?.signIn ? [requiredSignIn(needs.signIn)] : []),
      ...(body ? [readJson(body.types)] : []),
      handler(operation),
    ];
    // The router adds HEAD to GET.
    router.register(path.replace(/\{(\w+)\}/g, ':$1'), [method.toUpperCase()], stack);
  }
  return router;
}

// OpenAPI 3.1 §4.8.8: paths that differ only in the names of their parameters are identical.
function refuseSameShapes(operations: readonly Operation[]): void {
  const declared = new Map<string, Operation[]>();
  const nameOf = ({ id, method, path }: Operation) => `${id} (${method.toUpperCase()} ${path})`;
  for (const operation of operations) {
    const { method, path } = operation;
    const shape = path.replace(/\{\w+\}/g, '{}');
    const others = declared.get(shape) ?? [];
    const same = others.find((other) => other.method === method || other.path !== path);
    if (same) {
      const remedy =
        same.method === method
          ? 'change the path or the method of one'
          : 'give the parameters the same names';
      throw new Error(
        `the operations ${nameOf(same)} and ${nameOf(operation)} have the same path: ${remedy}`,
      );
    }
    declared.set(shape, [...others, operation]);
  }
}

/** Orders operations so that `/contacts/export` comes before `/contacts/{id}`. */
function bySpecificity(a: Operation, b: Operation): number {
  const rankOf = (segment: string) =>
    /^\{\w+\}$/.test(segment) ? 2 : segment.includes('{') ? 1 : 0;
  const ranksOf = ({ path }: Operation) => path.split('/').map(rankOf).join('');
  return ranksOf(a).localeCompare(ranksOf(b));
}

function handler({ path, needs, query, body, handle }: Operation): RouterMiddleware<State> {
  const hasId = path.includes('{id}');
  // A health check may send a query of its own.
  const querySchema = query ?? (needs ? z.strictObject({}) : z.looseObject({}));
  return async function handler(ctx) {
    // RFC 9562 §4: in lower case when written, in either case when read.
    const id = (ctx.params.id ?? '').toLowerCase();
    if (hasId && !UUID.test(id)) throw new ApiError('ERR_NOT_FOUND');
    const input = {
      id,
      query: readInput(querySchema, { ...ctx.query }, 400),
      body: body && readInput(body.schema, ctx.request.body, 422),
    };
    // `operation` typed the handler by the same schemas.
    await handle(ctx, input as never);
  };
}

const onError = (error: Error & { status?: number }) => {
  throw new ApiError('ERR_UNREADABLE_BODY', { status: error.status === 413 ? 413 : 400 });
};

/** @throws AuthError `ERR_MISSING_TOKEN` (401) whose challenge names the scope (RFC 6750 §3) */
function requireToken({ scope }: Needs): Middleware {
  return async function requireToken(ctx, next) {
    if (!ctx.state.auth) throw new AuthError('ERR_MISSING_TOKEN', { scope });
    await next();
  };
}

/** Reads a form body, only so that `auth` can reject a token in it (RFC 6750 §2.2). */
function readForm(): Middleware {
  const parse = bodyParser({ enableTypes: ['form'], formLimit: '16kb', onError });
  return async function readForm(ctx, next) {
    if (ctx.is('urlencoded')) await parse(ctx, next);
    else await next();
  };
}

/** @throws ApiError `ERR_UNSUPPORTED_MEDIA_TYPE` (415), `ERR_UNREADABLE_BODY` (400, 413) */
function readJson(types: readonly string[]): Middleware {
  const extendTypes = { json: [...types] };
  const parse = bodyParser({ enableTypes: ['json'], extendTypes, jsonLimit: '64kb', onError });
  return async function readJson(ctx, next) {
    const { type, charset } = ctx.request;
    if (
      !types.includes(type.toLowerCase()) ||
      !/^(?:utf-?8)?$/i.test(charset) ||
      // The parser reports an unknown encoding as malformed JSON.
      !/^(?:|identity|gzip|deflate|br)$/i.test(ctx.get('Content-Encoding'))
    ) {
      // `Accept`: RFC 9110 §15.5.16; `Accept-Patch`: RFC 5789 §2.2.
      const header = ctx.method === 'PATCH' ? 'Accept-Patch' : 'Accept';
      throw new ApiError('ERR_UNSUPPORTED_MEDIA_TYPE', {
        message: `send the body as ${types.join(' or ')}`,
        headers: { [header]: types.join(', ') },
      });
    }
    await parse(ctx, async () => {});
    // The parser makes an object of an empty body.
    if (!ctx.request.rawBody) throw new ApiError('ERR_UNREADABLE_BODY', { status: 400 });
    // JSON.parse keeps the last of two members, another reader of the body the first (RFC 8259 §4).
    if (hasDuplicateNames(ctx.request.rawBody)) {
      throw new ApiError('ERR_UNREADABLE_BODY', {
        message: 'the body has a member name twice: send each member once',
      });
    }
    await next();
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
  const { success, data, error } = schema.safeParse(input, {
    reportInput: true,
    error: ({ code, expected = '', input }) => {
      if (code !== 'invalid_type') return undefined;
      const article = /^[aeiou]/.test(String(expected)) ? 'an' : 'a';
      return input === undefined ? 'is required' : `must be ${article} ${expected}`;
    },
  });
  if (success) return data;
  throw invalidInput(
    status,
    error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        const message = 'is unknown: remove it';
        return issue.keys.map((key) => ({ field: key.slice(0, 100), message }));
      }
      // A query has a list only for a repeated parameter.
      const isRepeated = status === 400 && Array.isArray(issue.input);
      const message = isRepeated ? 'must be given once' : issue.message;
      return { field: issue.path.join('.') || 'body', message };
    }),
  );
}
