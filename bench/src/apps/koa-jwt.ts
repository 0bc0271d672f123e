import { createPublicKey } from 'node:crypto';
import jwksRsa from 'jwks-rsa';
import Koa from 'koa';
import jwt from 'koa-jwt';
import { answer } from './bare.ts';
import type { MakeApp } from './make-app.ts';

/** Configured as in the two READMEs. */
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

/** koa-jwt with a parsed key: the cost of koa-jwt alone. */
export const koaJwtAlone: MakeApp = async ({ issuer, audience }) => {
  const response = await fetch(`${issuer}.well-known/jwks.json`);
  const { keys } = (await response.json()) as { keys: [object] };
  const secret = createPublicKey({ key: keys[0] as never, format: 'jwk' });
  const app = new Koa();
  app.silent = true;
  app.use(jwt({ secret: secret as never, audience, issuer, algorithms: ['RS256'] }));
  return app.use(answer).callback();
};
