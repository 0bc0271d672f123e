import { describe, expect, test } from '@jest/globals';
import {
  createIssuer,
  decodeUnverifiedJwt,
  type Issuer,
  SIGNING_ALGORITHMS,
} from '@koa-oauth/issuer';
import { startTestIssuer } from '@koa-oauth/issuer/testing';
import { testKey } from '../../../../test/support/test-keys.ts';
import { verifyWithKoaJwt } from '../../../contacts-api/src/access-token.ts';
import { checkOptions } from '../../src/options.ts';
import { accessTokenVerifier } from '../../src/token/access-token-verifier.ts';
import {
  checkSignature,
  type VerifySignature,
  verifySignature,
} from '../../src/token/signature.ts';
import { type Group, keyGroups, signatureGroups, type Vector } from '../support/wycheproof.ts';

/** Vectors that hold in general and not here, by what they have that is refused. */
const NOT_HERE: Record<number, string> = {
  ...Object.fromEntries([259, 264, 268, 272, 320, 325].map((id) => [id, 'no payload: no JWT'])),
  ...Object.fromEntries([346, 350].map((id) => [id, 'PS384 under a key for PS256'])),
  ...Object.fromEntries([347, 351].map((id) => [id, 'a key for ES521, an algorithm there is not'])),
};
const SYMMETRIC = 'a symmetric key: none is published, and none is believed';

const UNAVAILABLE = 'ERR_ISSUER_UNAVAILABLE';
const LEFT_OUT = /^(ERR_ISSUER_UNAVAILABLE|algorithm)$/;

/** Weak as the key is, nothing about a signature tells. That it is not used is the issuer's to see to. */
const UNTOLD = new Set(['rejectsKeyWithRocaVulnerability']);

/** The way of a token from its form to its signature; its claims are no claims, so not judged. */
async function verify(issuer: Issuer, { jws }: Vector, by: VerifySignature): Promise<void> {
  if (typeof jws !== 'string') throw new Error('not compact');
  const [header, payload, ...signature] = jws.split('.');
  // Judged as strictly as a token's, with claims in the place of the text that the vectors bear.
  const unverified = decodeUnverifiedJwt([header, 'e30', ...signature].join('.')).header;
  if (!SIGNING_ALGORITHMS.includes(unverified.alg as never)) throw new Error('algorithm');
  const keys = await issuer.signingKeys(unverified);
  if (!payload) throw new Error('no payload');
  await checkSignature(jws, keys, by);
}

/** The outcome of each vector, with an issuer that publishes the group's key or key set. */
async function outcomes(group: Group, by: VerifySignature = verifySignature) {
  const published = group.public ?? group.private;
  const server = await startTestIssuer({ keys: [], otherKeys: published.keys ?? [published] });
  const issuer = createIssuer({ issuerBaseURL: server.issuer });
  try {
    return await Promise.all(
      group.tests.map(async (vector): Promise<[Vector, unknown]> => {
        return [vector, await verify(issuer, vector, by).catch((error: unknown) => error)];
      }),
    );
  } finally {
    await server.close();
  }
}

const rows = (all: readonly Group[]) =>
  all.map((group, i) => [i + 1, group.comment, group] as const);

test.each(rows(signatureGroups))('Wycheproof, signatures, group %d, %s', async (_, __, group) => {
  for (const [{ tcId, comment, result }, error] of await outcomes(group)) {
    const refusedHere = group.public === undefined ? SYMMETRIC : NOT_HERE[tcId];
    const expected = refusedHere ? 'invalid' : result;
    const outcome = error === undefined ? 'valid' : 'invalid';
    expect(`${tcId} ${comment}: ${outcome}`).toBe(`${tcId} ${comment}: ${expected}`);
  }
});

test.each(rows(keyGroups))('Wycheproof, keys, group %d, %s', async (_, __, group) => {
  for (const [{ tcId, comment, result }, error] of await outcomes(group)) {
    const good = result === 'valid' || UNTOLD.has(comment);
    const { code, message } = (error ?? {}) as { code?: string; message?: string };
    const outcome = error === undefined ? 'valid' : (code ?? message);
    // A bad key is left out of the set, however good the signature; the symmetric ones all are.
    const expected =
      group.public === undefined ? expect.stringMatching(LEFT_OUT) : good ? 'valid' : UNAVAILABLE;
    expect([tcId, comment, outcome]).toEqual([tcId, comment, expected]);
  }
});

// The function that the contacts API passes to `auth`.
describe('koa-jwt instead of node:crypto has the same result', () => {
  const reasonOf = (error: unknown) => {
    const { code, reason, message } = (error ?? {}) as Record<string, unknown>;
    return [code, reason, message];
  };

  test('on every Wycheproof vector', async () => {
    for (const group of [...signatureGroups, ...keyGroups]) {
      const [ours, koaJwts] = await Promise.all([
        outcomes(group),
        outcomes(group, verifyWithKoaJwt),
      ]);
      const told = (all: readonly [Vector, unknown][]) =>
        all.map(([{ tcId, comment }, error]) => [tcId, comment, ...reasonOf(error)]);
      expect(told(koaJwts)).toEqual(told(ours));
    }
  });

  test.each(SIGNING_ALGORITHMS)(
    'on every hostile token, and on a good one, with a key for %s',
    async (alg) => {
      const audience = 'https://api.example.com';
      const server = await startTestIssuer({ keys: [testKey({ alg })] });
      const issuer = createIssuer({ issuerBaseURL: server.issuer });
      const verifiers = [verifySignature, verifyWithKoaJwt].map((verifySignature) =>
        accessTokenVerifier(checkOptions({ issuer, audience, verifySignature })),
      );
      const good = server.token({ sub: 'alice', aud: audience });
      for (const verify of verifiers) {
        expect((await verify(good)).auth.payload.sub).toBe('alice');
      }
      const hostile = Object.entries(server.hostileTokens({ aud: audience }));
      for (const [name, token] of hostile) {
        const [ours, koaJwts] = await Promise.all(
          verifiers.map((verify) => verify(token).catch(reasonOf)),
        );
        expect([name, koaJwts]).toEqual([name, ours]);
        expect(ours).toBeInstanceOf(Array);
      }
      await server.close();
    },
  );
});
