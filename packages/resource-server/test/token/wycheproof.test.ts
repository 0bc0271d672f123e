import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { createIssuer, type Issuer } from '@koa-oauth/issuer';
import { startIssuer } from '@koa-oauth/issuer/testing';
import { ALGORITHMS, verifySignature } from '../../src/token/signature.ts';
import { decodeJwt } from '../../src/token/unverified-jwt.ts';

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  /** A string; in a few vectors JSON serialization. */
  readonly jws: unknown;
  readonly result: 'valid' | 'invalid';
}

interface Group {
  readonly comment: string;
  readonly public?: { keys?: readonly unknown[] };
  readonly private: { keys?: readonly unknown[] };
  readonly tests: readonly Vector[];
}

function groups(file: string): readonly Group[] {
  const url = new URL(`../support/wycheproof/${file}`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { testGroups: Group[] }).testGroups;
}

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
async function verify(issuer: Issuer, { jws }: Vector): Promise<void> {
  if (typeof jws !== 'string') throw new Error('not compact');
  const [header, payload, ...signature] = jws.split('.');
  // Judged as strictly as a token's, with claims in the place of the text that the vectors bear.
  const unverified = decodeJwt([header, 'e30', ...signature].join('.')).header;
  if (!ALGORITHMS.includes(unverified.alg as never)) throw new Error('algorithm');
  const { alg, key } = await issuer.signingKey(unverified);
  if (!payload) throw new Error('no payload');
  await verifySignature(jws, alg, key);
}

/** What became of each vector, with an issuer that publishes the group's key or key set. */
async function outcomes(group: Group): Promise<[Vector, unknown][]> {
  const published = group.public ?? group.private;
  const server = await startIssuer({ keys: [], otherKeys: published.keys ?? [published] });
  const issuer = createIssuer({ issuerBaseURL: server.issuer });
  try {
    return await Promise.all(
      group.tests.map(async (vector): Promise<[Vector, unknown]> => {
        return [vector, await verify(issuer, vector).catch((error: unknown) => error)];
      }),
    );
  } finally {
    await server.close();
  }
}

const rows = (all: readonly Group[]) =>
  all.map((group, i) => [i + 1, group.comment, group] as const);

test.each(rows(groups('json_web_signature_test.json')))(
  'Wycheproof, signatures, group %d, %s',
  async (_, __, group) => {
    for (const [{ tcId, comment, result }, error] of await outcomes(group)) {
      const refusedHere = group.public === undefined ? SYMMETRIC : NOT_HERE[tcId];
      const expected = refusedHere ? 'invalid' : result;
      const outcome = error === undefined ? 'valid' : 'invalid';
      expect(`${tcId} ${comment}: ${outcome}`).toBe(`${tcId} ${comment}: ${expected}`);
    }
  },
);

test.each(rows(groups('json_web_key_test.json')))(
  'Wycheproof, keys, group %d, %s',
  async (_, __, group) => {
    for (const [{ tcId, comment, result }, error] of await outcomes(group)) {
      const good = result === 'valid' || UNTOLD.has(comment);
      const { code, message } = (error ?? {}) as { code?: string; message?: string };
      const outcome = error === undefined ? 'valid' : (code ?? message);
      // A bad key is left out of the set, however good the signature; the symmetric ones all are.
      const expected =
        group.public === undefined ? expect.stringMatching(LEFT_OUT) : good ? 'valid' : UNAVAILABLE;
      expect([tcId, comment, outcome]).toEqual([tcId, comment, expected]);
    }
  },
);
