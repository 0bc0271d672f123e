import { createPublicKey, verify } from 'node:crypto';
import Koa from 'koa';
import type { MakeApp } from './make-app.ts';

/** Koa and one route: the cost without authentication. */
export const bare: MakeApp = async () => new Koa().use(answer).callback();

/** The same with one verified signature, which every verifier needs. */
export const bareWithVerify: MakeApp = async ({ issuer }) => {
  const response = await fetch(`${issuer}.well-known/jwks.json`);
  const { keys } = (await response.json()) as { keys: [object] };
  const key = createPublicKey({ key: keys[0] as never, format: 'jwk' });
  const app = new Koa();
  app.use(async function verifies(ctx, next) {
    const token = ctx.get('authorization').slice('Bearer '.length);
    const end = token.lastIndexOf('.');
    const signature = Buffer.from(token.slice(end + 1), 'base64url');
    if (!verify('sha256', Buffer.from(token.slice(0, end)), key, signature)) ctx.throw(401);
    await next();
  });
  app.silent = true;
  return app.use(answer).callback();
};

export const answer: Koa.Middleware = async function answer(ctx) {
  ctx.body = { ok: true };
};
