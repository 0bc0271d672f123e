import { expect, test } from '@jest/globals';
import Router from '@koa/router';
import Koa, { type Middleware } from 'koa';
import { z } from 'zod';
import {
  type Auth,
  type AuthOptions,
  type AuthState,
  auth,
  claimEquals,
  type OptionalAuthState,
  requiredScopes,
} from '../src/index.ts';

const options = { issuerBaseURL: 'https://tenant.example.com/', audience: 'a' };
const schema = z.object({ roles: z.array(z.string()) });
const claims = { namespace: 'https://api.example.com/', schema };
type Roles = z.infer<typeof schema>;

/** Takes a value for its type alone: nothing here is run but what makes middleware. */
const type = <T>(_value: () => T): void => {};

test('it fits where Koa’s own Middleware is asked for', () => {
  const one: Middleware = auth(options);
  const typed: Middleware = auth({ ...options, claims });
  const optional: Koa.Middleware = auth({ ...options, authRequired: false });
  const list: Middleware[] = [one, typed, auth(options), requiredScopes('a')];
  const guard = (middleware: Middleware): Middleware => middleware;
  const app = new Koa();
  app
    .use(one)
    .use(optional)
    .use(guard(auth(options)))
    .use(auth(options));
  for (const each of list) app.use(each);
  new Koa<{ user: string }>().use(auth(options));
  expect(app.middleware).toHaveLength(8);
});

test('it fits every router, and one that is typed has it without a question mark', () => {
  new Router().use(auth(options));
  new Router().use('/path', auth(options), requiredScopes('a'));
  const router = new Router<AuthState>();
  router.use(auth(options), claimEquals('a', 1));
  router.get('/', requiredScopes('a'), (ctx) => {
    type<Auth>(() => ctx.state.auth);
    type<string>(() => ctx.state.auth.payload.sub);
  });
  const withClaims = new Router<AuthState<Roles>>();
  withClaims.use(auth({ ...options, claims }));
  withClaims.get('/', (ctx) => {
    type<string[]>(() => ctx.state.auth.claims.roles);
    // @ts-expect-error the schema knows no such claim
    type(() => ctx.state.auth.claims.other);
  });
  expect(router.stack.length).toBeGreaterThan(0);
});

test('right before a handler the type comes by itself', () => {
  const router = new Router();
  router.get('/', auth({ ...options, claims }), (ctx) => {
    type<Roles>(() => ctx.state.auth.claims);
  });
  router.get('/', auth(options), (ctx) => {
    type<string>(() => ctx.state.auth.payload.sub);
  });
  router.get('/', auth({ ...options, authRequired: false }), (ctx) => {
    type<Auth | undefined>(() => ctx.state.auth);
    // @ts-expect-error there may be none
    type<Auth>(() => ctx.state.auth);
  });
  router.get('/', auth({ ...options, claims, authRequired: true }), (ctx) => {
    type<Roles>(() => ctx.state.auth.claims);
  });
  expect(router.stack).toHaveLength(4);
});

test('without a typed router the state may have it, whatever stands before', () => {
  const app = new Koa();
  app.use(auth(options));
  app.use((ctx) => {
    type<Auth | undefined>(() => ctx.state.auth);
    // @ts-expect-error a route may be served without it
    type<Auth>(() => ctx.state.auth);
  });
  const optional = new Router<OptionalAuthState<Roles>>();
  optional.use(auth({ ...options, claims, authRequired: false }));
  optional.get('/', (ctx) => type<Roles | undefined>(() => ctx.state.auth?.claims));
  expect(app.middleware).toHaveLength(2);
});

test('options may be undefined, as unset variables are', () => {
  const realm: string | undefined = process.env.REALM;
  const all: AuthOptions<unknown> = { ...options, realm, onEvent: undefined, claims: undefined };
  expect(auth(all)).toBeInstanceOf(Function);
});
