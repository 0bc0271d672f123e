import { METHODS } from 'node:http';
import Router, { type RouterMiddleware } from '@koa/router';
import { claimIncludes, requiredScopes } from '@koa-oauth/resource-server';
import type { Middleware } from 'koa';
import { z } from 'zod';
import { ApiError } from '../errors.ts';
import type { Needs, Operation, State } from '../operation.ts';
import { readForm, readInput, readJson } from './input.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const NO_QUERY = z.strictObject({});

export interface Guards {
  readonly auth: Middleware<State>;
  readonly limitSubjects: Middleware;
  /** Name of the custom claim that holds the roles. */
  readonly rolesClaim: string;
}

/** Makes the routes of operations, each with the checks that its declaration asks for. */
export function operationRoutes(operations: readonly Operation[], guards: Guards): Router<State> {
  const router = new Router<State>({ methods: METHODS, strict: true, sensitive: true });
  for (const operation of operations) {
    const { method, path, needs, body } = operation;
    const stack: RouterMiddleware<State>[] = [
      ...(needs ? [readForm(), ...accessChecks(needs, guards)] : []),
      ...(body ? [readJson(body.types)] : []),
      handler(operation),
    ];
    // The router adds HEAD to GET.
    router.register(path.replace(/\{(\w+)\}/g, ':$1'), [method.toUpperCase()], stack);
  }
  return router;
}

function accessChecks(
  { scope, role }: Needs,
  { auth, limitSubjects, rolesClaim }: Guards,
): RouterMiddleware<State>[] {
  return [
    auth,
    limitSubjects,
    ...(scope ? [requiredScopes(scope)] : []),
    ...(role ? [claimIncludes(rolesClaim, role)] : []),
  ];
}

function handler({ path, needs, query, body, handle }: Operation): RouterMiddleware<State> {
  const hasId = path.includes('{id}');
  // A health check may send a query of its own.
  const querySchema = query ?? (needs ? NO_QUERY : z.looseObject({}));
  return async function handler(ctx) {
    const { id = '' } = ctx.params;
    if (hasId && !UUID.test(id)) throw new ApiError('ERR_NOT_FOUND');
    const input = {
      id,
      query: readInput(querySchema, { ...ctx.query }, 400),
      body: body && readInput(body.schema, ctx.request.body, 422),
    };
    // The schemas that checked the input are those that `operation` typed the handler by.
    await handle(ctx, input as never);
  };
}
