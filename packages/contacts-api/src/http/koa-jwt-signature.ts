import { type VerifySignature, verifySignature } from '@koa-oauth/resource-server';
import type { Context } from 'koa';
import koaJwt from 'koa-jwt';

const OPTIONS = {
  // The key in `ctx.state` replaces this one, which verifies nothing.
  secret: '',
  getToken: (ctx: Context) => (ctx as unknown as { token: string }).token,
  key: 'verified',
  // A wrong signature leaves the state without claims, and throws nothing.
  passthrough: true,
  // The library has checked the times, with its own clock and tolerance.
  ignoreExpiration: true,
  ignoreNotBefore: true,
};

const middlewares = new Map<string, koaJwt.Middleware>();

/**
 * Verifies RSA and ECDSA signatures with koa-jwt, and Ed25519, which it lacks, with `node:crypto`.
 *
 * koa-jwt never sees the request. It gets a context of its own with the token and the key, so that no
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
