import { createRemoteJWKSet, jwtVerify } from 'jose';
import Koa from 'koa';
import { answer } from './bare.ts';
import type { MakeApp } from './make-app.ts';

export const joseOnKoa: MakeApp = async ({ issuer, audience }) => {
  const keys = createRemoteJWKSet(new URL(`${issuer}.well-known/jwks.json`));
  const app = new Koa();
  app.silent = true;
  app.use(async function verifies(ctx, next) {
    const token = ctx.get('authorization').slice('Bearer '.length);
    try {
      ctx.state.user = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' });
    } catch {
      ctx.throw(401);
    }
    await next();
  });
  return app.use(answer).callback();
};
