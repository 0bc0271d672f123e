import express, { type ErrorRequestHandler } from 'express';
import { auth } from 'express-oauth2-jwt-bearer';
import type { MakeApp } from './make-app.ts';

export const expressOauth2JwtBearer: MakeApp = async ({ issuer, audience }) => {
  const app = express();
  app.use(auth({ issuerBaseURL: issuer, audience, tokenSigningAlg: 'RS256', strict: true }));
  app.get('/', (_, response) => {
    response.json({ ok: true });
  });
  const refuse: ErrorRequestHandler = (error, _, response, _next) => {
    response.set(error.headers).status(error.status).json({ error: error.code });
  };
  return app.use(refuse);
};
