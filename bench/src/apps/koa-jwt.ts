import jwksRsa from 'jwks-rsa';
import Koa from 'koa';
import jwt from 'koa-jwt';
import { answer } from './bare.ts';
import type { MakeApp } from './index.ts';

/** Wired as the two READMEs say. */
export const koaJwtAsDocumented: MakeApp = async ({ issuer, audience }) => {
  const app = new Koa();
  app.silent = true;
  app.use(
    jwt({
      secret: jwksRsa.koaJwtSecret({
        cache: true,
        rateLimit: true,
        jwksRequestsPerMinute: 2,
        jwksUri: `${issuer}.well-known/jwks.json`,
      }) as never,
      audience,
      issuer,
      algorithms: ['RS256'],
    }),
  );
  return app.use(answer).callback();
};
