import { type VerifySignature, verifySignature } from '@koa-oauth/resource-server';
import type { Context } from 'koa';
import koaJwt from 'koa-jwt';

const OPTIONS = {
  // A key in the state replaces this one; without it nothing verifies.
  secret: '',
  getToken: (ctx: Context) => (ctx as unknown as { token: string }).token,
  key: 'verified',
  // A failure leaves the state without claims, instead of an error.
  passthrough: true,
  // The times were checked already, with the clock and the tolerance of the options.
  ignoreExpiration: true,
  ignoreNotBefore: true,
};

const middlewares = new Map<string, koaJwt.Middleware>();

/**
 * Verifies RSA and ECDSA signatures with koa-jwt; it knows no Ed25519, which `node:crypto` verifies.
 *
 * koa-jwt never sees the request: it gets a context of its own with the token and the key, so that no
 * cookie, second header or `ctx.state.secret` can replace them.
 */
export const verifyWithKoaJwt: VerifySignature = async (token, { alg, key }) => {
  if (alg === 'EdDSA' || alg === 'Ed25519') return verifySignature(token, { alg, key });
  const middleware = middlewares.get(alg) ?? koaJwt({ ...OPTIONS, algorithms: [alg] });
  middlewares.set(alg, middleware);
  const context = { token, header: {}, state: { secret: key } as { verified?: unknown } };
  await middleware(context as unknown as Context, async () => {});
  return Object.hasOwn(context.state, 'verified');
};
