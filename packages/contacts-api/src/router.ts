import { METHODS } from 'node:http';
import Router, { type RouterMiddleware } from '@koa/router';
import { claimIncludes, requiredScopes } from '@koa-oauth/resource-server';
import type { Middleware } from 'koa';
import { z } from 'zod';
import { form, json } from './body.ts';
import { NotFound } from './errors.ts';
import { readInput } from './input.ts';
import type { Context, Needs, Operation } from './operation.ts';

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
  readonly needsToken: Middleware;
  /** What comes right behind it. */
  readonly behindToken: readonly Middleware[];
  /** The name of the custom claim that holds the roles. */
  readonly rolesClaim: string;
}

/** Makes the routes of operations, each with the checks that its declaration asks for. */
export function operationsRouter(operations: readonly Operation[], guards: Guards): Router {
  const router = new Router({ methods: METHODS, strict: true, sensitive: true });
  for (const operation of operations) {
    const { method, path, needs, body } = operation;
    const checks = needs ? [form, ...guardsFor(needs, guards)] : [];
    const reading = body ? [json(body.types)] : [];
    const stack = [...checks, ...reading, handler(operation)] as unknown as RouterMiddleware[];
    router.register(path.replace(/\{(\w+)\}/g, ':$1'), METHODS_OF[method], stack);
  }
  return router;
}

function guardsFor(
  { scope, role }: Needs,
  { needsToken, behindToken, rolesClaim }: Guards,
): Middleware[] {
  return [
    needsToken,
    ...behindToken,
    ...(scope ? [requiredScopes(scope)] : []),
    ...(role ? [claimIncludes(rolesClaim, role)] : []),
  ];
}

function handler({ path, needs, query, body, handle }: Operation): Middleware {
  const hasId = path.includes('{id}');
  // Whoever asks an open route adds what they like, as some health checks do.
  const querySchema = query ?? (needs ? NO_QUERY : z.looseObject({}));
  return async function handler(ctx) {
    const { params = {} } = ctx as unknown as { params?: { id?: string } };
    const { id = '' } = params;
    if (hasId && !UUID.test(id)) throw new NotFound('there is no such contact');
    const input = {
      id,
      query: readInput(querySchema, { ...ctx.query }, 400),
      body: body && readInput(body.schema, (ctx.request as { body?: unknown }).body, 422),
    };
    await handle(ctx as unknown as Context, input as never);
  };
}
