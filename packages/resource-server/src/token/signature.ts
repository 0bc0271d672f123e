import { type KeyObject, verify } from 'node:crypto';
import { SIGNING_ALGORITHMS } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import koaJwt from 'koa-jwt';
import { InvalidTokenError } from '../errors.ts';

/** The algorithms accepted unless an option narrows them. */
export const ALGORITHMS = SIGNING_ALGORITHMS;

/** An algorithm that access tokens may be signed with: asymmetric ones alone. */
export type Algorithm = (typeof ALGORITHMS)[number];

/**
 * Verifies the signature of a compact JWS with the one key and the one algorithm it must have.
 *
 * koa-jwt does it for the RSA and elliptic curve algorithms. It never sees the request: it gets a
 * context of its own that holds the token and the key, so that nothing an earlier middleware left
 * behind, no cookie and no second header, can take their place. Ed25519 it doesn't know; that is
 * node:crypto's.
 *
 * @throws InvalidTokenError `signature`
 */
export async function verifySignature(token: string, alg: string, key: KeyObject): Promise<void> {
  const verified =
    alg === 'EdDSA' || alg === 'Ed25519'
      ? verifyEd25519(token, key)
      : await verifyWithKoaJwt(token, alg, key);
  if (!verified) throw new InvalidTokenError('signature');
}

const verifiers = new Map<string, koaJwt.Middleware>();

async function verifyWithKoaJwt(token: string, alg: string, key: KeyObject): Promise<boolean> {
  let verifier = verifiers.get(alg);
  if (!verifier) {
    verifier = koaJwt({ ...OPTIONS, algorithms: [alg] });
    verifiers.set(alg, verifier);
  }
  const context = { token, header: {}, state: { secret: key } as { verified?: unknown } };
  await untraced(() => verifier(context as unknown as Context, async () => {}));
  return Object.hasOwn(context.state, 'verified');
}

// A wrong signature has koa-jwt make an error and write out its stack, which nobody sees: half of
// what a forged token would cost. The error is made before the call returns.
function untraced<T>(call: () => T): T {
  const limit = Error.stackTraceLimit;
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return call();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', limit);
  }
}

const OPTIONS = {
  // A key in the state takes the place of this one; without it nothing verifies.
  secret: '',
  getToken: (ctx: Context) => (ctx as unknown as { token: string }).token,
  key: 'verified',
  // A failure leaves the state without claims, instead of an error made and thrown twice.
  passthrough: true,
  // The times were judged already, with the clock and the tolerance of the options.
  ignoreExpiration: true,
  ignoreNotBefore: true,
};

function verifyEd25519(token: string, key: KeyObject): boolean {
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  return (
    key.asymmetricKeyType === 'ed25519' &&
    verify(null, Buffer.from(token.slice(0, end)), key, signature)
  );
}
