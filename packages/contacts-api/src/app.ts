import { METHODS } from 'node:http';
import Router from '@koa/router';
import {
  auth,
  createIssuer,
  PROTECTED_RESOURCE_METADATA_PATH,
  protectedResourceMetadata,
  requiredScopes,
} from '@koa-oauth/resource-server';
import Koa, { type Middleware } from 'koa';
import type { Logger } from 'pino';
import { form, json } from './body.ts';
import { ContactsClaims } from './claims.ts';
import { problemDetails } from './problem-details.ts';
import { requestLog } from './request-log.ts';
import { requestTarget } from './request-target.ts';
import { type ContactsState, contactsRoutes } from './routes/contacts.ts';
import { me } from './routes/me.ts';
import type { ContactStore } from './store/contact-store.ts';

export interface AppOptions {
  readonly issuerBaseURL: string;
  readonly audience: string;
  readonly claimsNamespace: string;
  readonly baseURL: string;
  readonly store: ContactStore;
  readonly logger: Logger;
}

const SCOPES = [
  'read:contacts',
  'create:contacts',
  'update:contacts',
  'delete:contacts',
  'read:activity',
];

/** The whole API on one page: the stack, and each route with what it needs. */
export function createApp({
  issuerBaseURL,
  audience,
  claimsNamespace,
  baseURL,
  store,
  logger,
}: AppOptions): Koa {
  const contacts = contactsRoutes(store);
  const issuer = createIssuer({ issuerBaseURL });
  const needsToken = auth({
    issuer,
    audience,
    claims: { namespace: claimsNamespace, schema: ContactsClaims },
    realm: 'contacts',
    resourceMetadata: `${baseURL}${PROTECTED_RESOURCE_METADATA_PATH}`,
  });
  const open = new Router({ methods: METHODS });
  open.get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  open.get(
    PROTECTED_RESOURCE_METADATA_PATH,
    protectedResourceMetadata({
      resource: audience,
      authorizationServers: [issuer],
      scopesSupported: SCOPES,
      resourceName: 'Contacts',
    }),
  );

  const closed = new Router<ContactsState>({ methods: METHODS });
  closed.use(form, needsToken);
  closed.get('/me', me);
  closed.get('/contacts', requiredScopes('read:contacts'), contacts.list);
  closed.get('/contacts/:id', requiredScopes('read:contacts'), contacts.read);
  closed.post('/contacts', requiredScopes('create:contacts'), json, contacts.create);

  const app = new Koa();
  app.silent = true;
  app.use(requestLog({ logger }));
  app.use(problemDetails());
  app.use(requestTarget);
  app.use(noStore);
  app.use(open.routes()).use(open.allowedMethods());
  app.use(closed.routes()).use(closed.allowedMethods());
  return app;
}

const noStore: Middleware = async (ctx, next) => {
  ctx.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
  await next();
};
