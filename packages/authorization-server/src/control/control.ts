import { createHash, timingSafeEqual } from 'node:crypto';
import Router from '@koa/router';
import { describeError, isLoopback } from '@koa-oauth/service';
import Koa, { type Context, type Middleware, type Next } from 'koa';
import type { Logger } from 'pino';
import { z } from 'zod';
import { readJson } from '../http/body.ts';
import type { RotateOptions } from '../keys/key-ring.ts';
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

const rotationSchema = z.strictObject({ revoke: z.boolean().optional() });

const clockSchema = z.strictObject({ clock: z.number() });

const MAX_BODY_BYTES = 10_240;
const NOT_JSON = 'send JSON, with content-type application/json';

/** Creates the application of the control port; every request needs the token. */
export function createControl(server: Controlled, token: string, logger: Logger): Koa {
  const log = logger.child({}, { serializers: { err: describeError } });
  const app = new Koa();
  // Koa's own listener would print an error with the contents of its request.
  app.on('error', (error: Error) => log.error({ err: error }, 'unexpected error of the control'));
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
  router.get('/faults', (ctx) => {
    ctx.body = { faults: faults.list() };
  });
  router.post('/faults', async (ctx) => {
    if (!ctx.is('json')) ctx.throw(415, NOT_JSON);
    faults.add((await readFields(ctx)) as unknown as Fault);
    ctx.status = 201;
    ctx.body = { faults: faults.list() };
  });
  router.delete('/faults', (ctx) => {
    faults.clear();
    ctx.status = 204;
  });
  router.post('/rotate-keys', async (ctx) => {
    await server.rotateKeys(await read(ctx, rotationSchema, 'send nothing, or {"revoke": true}'));
    ctx.status = 204;
  });
  router.post('/revoke-previous-key', async (ctx) => {
    await server.revokePreviousKey();
    ctx.status = 204;
  });
  router.get('/clock', (ctx) => {
    ctx.body = { clock: server.clock };
  });
  router.put('/clock', async (ctx) => {
    const { clock } = await read(ctx, clockSchema, 'send {"clock": SECONDS}');
    try {
      server.clock = clock;
    } catch (error) {
      ctx.throw(400, (error as Error).message);
    }
    ctx.body = { clock: server.clock };
  });
  router.post('/reset', (ctx) => {
    server.reset();
    ctx.status = 204;
  });
  router.get('/log', (ctx) => {
    ctx.body = { transactions: server.log() };
  });
  return router;
}

async function readFields(ctx: Context): Promise<Record<string, unknown>> {
  // Null: the request has no body.
  if (ctx.is('json') === null || ctx.request.length === 0) return {};
  return ctx.is('json') ? readJson(ctx, MAX_BODY_BYTES) : ctx.throw(415, NOT_JSON);
}

/** Reads a body of this schema. @throws 400 with what to send. */
async function read<T>(ctx: Context, schema: z.ZodType<T>, expected: string): Promise<T> {
  const { success, data } = schema.safeParse(await readFields(ctx));
  return success ? data : ctx.throw(400, expected);
}

function answerJson(log: Logger): Middleware {
  return async function answerJson(ctx: Context, next: Next) {
    ctx.set('cache-control', 'no-store');
    try {
      await next();
    } catch (error) {
      if (error instanceof InvalidFault) {
        ctx.status = 400;
        ctx.body = { error: 'invalid_fault', field: error.field, error_description: error.message };
        return;
      }
      const { status = 500, message } = error as { status?: number; message: string };
      if (status >= 500) log.error({ err: error }, 'unexpected error of the control');
      ctx.status = status;
      ctx.body = {
        error: status >= 500 ? 'server_error' : 'invalid_request',
        error_description: status >= 500 ? 'The reason is in the log of this server.' : message,
      };
    }
    if (ctx.status === 404 && !ctx.body) {
      ctx.status = 404;
      ctx.body = {
        error: 'not_found',
        error_description:
          'There are /faults, /log, /clock, /rotate-keys, /revoke-previous-key and /reset here.',
      };
    }
  };
}

/**
 * Refuses pages in a browser. A page of another site sends its `Origin`; a page whose name was made to
 * resolve to this address (DNS rebinding) sends that name as `Host`.
 */
function refuseBrowsers(): Middleware {
  return function refuseBrowsers(ctx: Context, next: Next) {
    if (ctx.get('origin') === '' && isLoopback(ctx.hostname)) return next();
    ctx.throw(
      403,
      'the control is not for web pages: ask it without Origin, by a loopback address',
    );
  };
}

function requireToken(token: string): Middleware {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const right = digest(`Bearer ${token}`);
  return function requireToken(ctx: Context, next: Next) {
    // The comparison needs equal lengths, which digests have; they reveal nothing of the token.
    if (timingSafeEqual(digest(ctx.get('authorization')), right)) return next();
    ctx.status = 401;
    ctx.set('WWW-Authenticate', 'Bearer');
    ctx.body = {
      error: 'invalid_token',
      error_description: 'Send the token printed at the start.',
    };
    return undefined;
  };
}
