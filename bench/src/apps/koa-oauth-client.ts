import { auth, requiresAuth } from '@koa-oauth/client';
import Koa from 'koa';
import { DEMO_CLIENT, DEMO_SCOPE } from './demo-client.ts';
import type { MakeApp } from './make-app.ts';

export const koaOauthClient: MakeApp = async ({ issuer, audience }) => {
  const app = new Koa();
  const authorizationParams = { scope: DEMO_SCOPE, audience };
  app.use(auth({ ...DEMO_CLIENT, issuerBaseURL: issuer, authorizationParams }));
  app.use(requiresAuth());
  app.use((ctx) => {
    ctx.body = { name: ctx.oidc.user?.name };
  });
  return app.callback();
};
