import { JwtVerifier } from 'aws-jwt-verify';
import Koa from 'koa';
import { answer } from './bare.ts';
import type { MakeApp } from './make-app.ts';

/** The library fetches keys over https only, so it gets them here. */
export const awsJwtVerify: MakeApp = async ({ issuer, audience }) => {
  const verifier = JwtVerifier.create({ issuer, audience, jwksUri: 'https://unused.example/jwks' });
  const response = await fetch(`${issuer}.well-known/jwks.json`);
  verifier.cacheJwks((await response.json()) as never);
  const app = new Koa();
  app.silent = true;
  app.use(async function verifies(ctx, next) {
    const token = ctx.get('authorization').slice('Bearer '.length);
    try {
      ctx.state.user = await verifier.verify(token);
    } catch {
      ctx.throw(401);
    }
    await next();
  });
  return app.use(answer).callback();
};
