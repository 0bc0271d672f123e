import { METHODS } from 'node:http';
import Router, { type RouterMiddleware } from '@koa/router';
import { claimIncludes, requiredScopes } from '@koa-oauth/resource-server';
import type { Middleware } from 'koa';
import { z } from 'zod';
import { ApiError } from '../errors.ts';
import type { Context, Needs, Operation } from '../operation.ts';
import { readForm, readInput, readJson } from './input.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const METHODS_OF = {
  get: ['HEAD', 'GET'],
  post: ['POST'],
  put: ['PUT'],
  patch: ['PATCH'],
  delete: ['DELETE'],
};
const NO_QUERY = z.strictObject({});

export interface Guards {
  /** Lets a request in by its access token. */
  readonly auth: Middleware;
  /** What comes right after it. */
  readonly afterAuth: readonly Middleware[];
  /** The name of the custom claim that holds the roles. */
  readonly rolesClaim: string;
}

/** Makes the routes of operations, each with the checks that its declaration asks for. */
export function operationRoutes(operations: readonly Operation[], guards: Guards): Router {
  const router = new Router({ methods: METHODS, strict: true, sensitive: true });
  for (const operation of operations) {
    const { method, path, needs, body } = operation;
    const checks = needs ? [readForm(), ...guardsFor(needs, guards)] : [];
    const reading = body ? [readJson(body.types)] : [];
    const stack: RouterMiddleware[] = [...checks, ...reading, handler(operation)];
    router.register(path.replace(/\{(\w+)\}/g, ':$1'), METHODS_OF[method], stack);
  }
  return router;
}

function guardsFor({ scope, role }: Needs, { auth, afterAuth, rolesClaim }: Guards): Middleware[] {
  return [
    auth,
    ...afterAuth,
    ...(scope ? [requiredScopes(scope)] : []),
    ...(role ? [claimIncludes(rolesClaim, role)] : []),
  ];
}

function handler({ path, needs, query, body, handle }: Operation): RouterMiddleware {
  const hasId = path.includes('{id}');
  // A health check may add a query of its own.
  const querySchema = query ?? (needs ? NO_QUERY : z.looseObject({}));
  return async function handler(ctx) {
    const { id = '' } = ctx.params;
    if (hasId && !UUID.test(id)) throw new ApiError('ERR_NOT_FOUND');
    const input = {
      id,
      query: readInput(querySchema, { ...ctx.query }, 400),
      body: body && readInput(body.schema, ctx.request.body, 422),
    };
    await handle(ctx as Context, input as never);
  };
}
