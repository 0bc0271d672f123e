import express from 'express';
import openidConnect from 'express-openid-connect';
import { DEMO_CLIENT, DEMO_SCOPE } from './demo-client.ts';
import type { MakeApp } from './make-app.ts';

export const expressOpenidConnect: MakeApp = async ({ issuer, audience }) => {
  const app = express();
  const authorizationParams = { response_type: 'code', scope: DEMO_SCOPE, audience };
  app.use(
    openidConnect.auth({
      ...DEMO_CLIENT,
      issuerBaseURL: issuer,
      authorizationParams,
      authRequired: false,
    }),
  );
  app.get('/', openidConnect.requiresAuth(), ({ oidc }, response) => {
    response.json({ name: oidc.user?.name });
  });
  return app;
};
