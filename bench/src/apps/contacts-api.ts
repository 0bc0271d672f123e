import type { RequestListener } from 'node:http';
import type { Auth } from '@koa-oauth/resource-server';
import { createApp } from 'contacts-api';
import { migrate, openDatabase } from 'contacts-api/database';
import { RateLimits } from 'contacts-api/rate-limits';
import type Koa from 'koa';
import { pino } from 'pino';
import type { MakeApp } from './make-app.ts';

/** Variants of the contacts API: unchanged, and with fewer middlewares. */
export type ContactsVariant = 'as-it-is' | 'fixed-auth' | 'fixed-auth-unlimited';

const NEVER_REACHED = 1_000_000;

/** Changes to the app of `createApp`, by variant. */
const VARIANTS: Readonly<Record<ContactsVariant, (koa: Koa) => void>> = {
  'as-it-is': () => {},
  'fixed-auth': (koa) => replace(koa, 'auth', onceOnly),
  'fixed-auth-unlimited': (koa) => {
    replace(koa, 'auth', onceOnly);
    replace(koa, 'limitSubjects', () => undefined);
  },
};

/**
 * Runs all variants in one process on one database: two processes with the same code differ by more
 * than authentication costs. The first segment of a path names the variant.
 */
export const contactsApi: MakeApp = async ({ issuer, audience, databaseURL = '' }) => {
  await migrate(databaseURL);
  const database = openDatabase(databaseURL);
  const listeners = new Map<string, RequestListener>();
  for (const [name, change] of Object.entries(VARIANTS)) {
    const { koa } = createApp({
      issuerBaseURL: issuer,
      audience,
      claimsNamespace: 'https://contacts.example.com/',
      baseURL: 'http://localhost:3001',
      corsOrigins: [],
      trustProxy: false,
      database,
      limits: new RateLimits({
        perSubject: NEVER_REACHED,
        refusedPerAddress: NEVER_REACHED,
        storeURL: 'memory:',
      }),
      logger: pino({ level: 'silent' }),
    });
    change(koa);
    listeners.set(name, koa.callback());
  }
  return function contactsApi(request, response) {
    const { url = '' } = request;
    const end = url.indexOf('/', 1);
    request.url = url.slice(end);
    listeners.get(url.slice(1, end))?.(request, response);
  };
};

/** Runs `auth` for the first request, and uses its result for all others. */
function onceOnly(auth: Koa.Middleware): Koa.Middleware {
  let fixed: Auth | undefined;
  return async function onceOnly(ctx, next) {
    if (!fixed) {
      await auth(ctx, async () => {
        fixed = ctx.state.auth;
      });
    }
    ctx.state.auth = fixed;
    await next();
  };
}

/**
 * Replaces or removes each middleware of this name in the routes. It changes the built app, so that
 * nothing else can differ.
 */
function replace(
  koa: Koa,
  name: string,
  by: (middleware: Koa.Middleware) => Koa.Middleware | undefined,
): void {
  let count = 0;
  for (const { router } of koa.middleware as Routing[]) {
    for (const layer of router?.stack ?? []) {
      const at = layer.stack.findIndex((middleware) => middleware.name === name);
      const found = layer.stack[at];
      if (!found) continue;
      const other = by(found);
      layer.stack.splice(at, 1, ...(other ? [other] : []));
      count += 1;
    }
  }
  if (count === 0) throw new Error(`no route of the contacts API has a middleware named ${name}`);
}

/** Result of `routes()` of @koa/router, which composes the stack of a route for each request. */
interface Routing {
  readonly router?: { readonly stack: readonly { readonly stack: Koa.Middleware[] }[] };
}
