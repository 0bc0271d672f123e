import { hash, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import { describeError, isLoopback, logBrokenAnswers } from '@koa-oauth/service';
import Koa, { type Context, type Middleware, type Next } from 'koa';
import type { Logger } from 'pino';
import { z } from 'zod';
import { readJson, refuse } from '../http/body.ts';
import { type RotateOptions, rotationSchema } from '../keys/key-ring.ts';
import type { Transaction } from '../log/transactions.ts';
import { type Fault, type Faults, InvalidFault } from './faults.ts';

/** Address and token of the port that makes a running server fail, and reports what happened. */
export interface Control {
  /** Without a slash at its end. */
  readonly url: string;
  /** For `Authorization: Bearer TOKEN`; a new one at each start. */
  readonly token: string;
}

interface Controlled {
  readonly faults: Pick<Faults, 'add' | 'clear' | 'list'>;
  clock: number;
  log(): Transaction[];
  rotateKeys(options: RotateOptions): Promise<void>;
  revokePreviousKey(): Promise<void>;
  reset(): void;
}

const clockSchema = z.strictObject({ clock: z.number() });

const KNOWN_PATHS =
  'There are /faults, /log, /clock, /rotate-keys, /revoke-previous-key and /reset here.';
const NOT_FOR_PAGES =
  'the control is not for web pages: ask it without Origin, by a loopback address';
const NOT_JSON = 'send JSON, with content-type application/json';

/** Creates the application of the control port; every request needs the token. */
export function createControl(server: Controlled, token: string, logger: Logger): Koa {
  const log = logger.child({}, { serializers: { err: describeError } });
  const app = new Koa();
  // Koa's own listener would print an error with the contents of its request.
  app.on('error', logBrokenAnswers(log));
  app.use(answerJson(log));
  app.use(refuseBrowsers());
  app.use(requireToken(token));
  const routes = controlRoutes(server);
  app.use(routes.routes());
  app.use(routes.allowedMethods());
  return app;
}

function controlRoutes(server: Controlled): Router {
  const { faults } = server;
  const router = new Router();
  /** Answers with what the handler returns; 204 for nothing. */
  const on = (
    method: 'get' | 'post' | 'put' | 'delete',
    path: string,
    handle: (ctx: Context) => unknown,
  ): void => {
    router[method](path, async (ctx) => {
      ctx.body = (await handle(ctx)) ?? null;
    });
  };
  on('get', '/faults', () => ({ faults: faults.list() }));
  on('post', '/faults', async (ctx) => {
    if (!ctx.is('json')) ctx.throw(415, NOT_JSON);
    faults.add((await readFields(ctx)) as unknown as Fault);
    ctx.status = 201;
    return { faults: faults.list() };
  });
  on('delete', '/faults', () => faults.clear());
  on('post', '/rotate-keys', async (ctx) => {
    const options = await parseBody(ctx, rotationSchema, 'send nothing, or {"revoke": true}');
    await server.rotateKeys(options);
  });
  on('post', '/revoke-previous-key', () => server.revokePreviousKey());
  on('get', '/clock', () => ({ clock: server.clock }));
  on('put', '/clock', async (ctx) => {
    const { clock } = await parseBody(ctx, clockSchema, 'send {"clock": SECONDS}');
    try {
      server.clock = clock;
    } catch (error) {
      ctx.throw(400, (error as Error).message);
    }
    return { clock };
  });
  on('post', '/reset', () => server.reset());
  on('get', '/log', () => ({ transactions: server.log() }));
  return router;
}

async function readFields(ctx: Context): Promise<Record<string, unknown>> {
  // Null: the request has no body.
  if (ctx.is('json') === null || ctx.request.length === 0) return {};
  return ctx.is('json') ? readJson(ctx) : ctx.throw(415, NOT_JSON);
}

async function parseBody<T>(ctx: Context, schema: z.ZodType<T>, expected: string): Promise<T> {
  const { success, data } = schema.safeParse(await readFields(ctx));
  return success ? data : ctx.throw(400, expected);
}

function answerJson(log: Logger): Middleware {
  return async function answerJson(ctx: Context, next: Next) {
    ctx.set('cache-control', 'no-store');
    try {
      await next();
    } catch (error) {
      const { status = 500, message } = error as { status?: number; message: string };
      if (error instanceof InvalidFault) {
        ctx.status = 400;
        ctx.body = { error: 'invalid_fault', field: error.field, error_description: message };
      } else if (status < 500) {
        refuse(ctx, status, 'invalid_request', message);
      } else {
        log.error({ err: error }, 'unexpected error of the control');
        refuse(ctx, status, 'server_error', 'The reason is in the log of this server.');
      }
    }
    if (ctx.status === 404 && !ctx.body) refuse(ctx, 404, 'not_found', KNOWN_PATHS);
  };
}

/** Refuses pages of other sites, also those whose name was made to resolve here (DNS rebinding). */
function refuseBrowsers(): Middleware {
  return function refuseBrowsers(ctx: Context, next: Next) {
    if (ctx.get('origin') === '' && isLoopback(ctx.hostname)) return next();
    ctx.throw(403, NOT_FOR_PAGES);
  };
}

function requireToken(token: string): Middleware {
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  const right = digest(`Bearer ${token}`);
  return function requireToken(ctx: Context, next: Next) {
    // The comparison needs equal lengths, which digests have; they reveal nothing of the token.
    if (timingSafeEqual(digest(ctx.get('authorization')), right)) return next();
    ctx.set('WWW-Authenticate', 'Bearer');
    refuse(ctx, 401, 'invalid_token', 'Send the token printed at the start.');
  };
}
