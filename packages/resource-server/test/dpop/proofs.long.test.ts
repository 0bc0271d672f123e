import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { SIGNING_ALGORITHMS } from '@koa-oauth/issuer';
import {
  createProof,
  createTestKey,
  signJws,
  type TestKey,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import fc from 'fast-check';
import { codePoint } from '../../../../test/support/properties.ts';
import { ProofVerifier } from '../../src/dpop/proof-verifier.ts';
import { memorySet } from '../../src/stores/expiring-set.ts';
import { verifySignature } from '../../src/token/signature.ts';

/** `PROOFS=1000000` takes some minutes. */
const PROOFS = Number(process.env.PROOFS ?? 60_000);
const RANDOM_PROOFS = 2 * Math.ceil(PROOFS / 6);
const MAX_GROWTH_BYTES = 8 * 1024 * 1024;

const baseURL = 'https://api.example.com';
const url = `${baseURL}/orders`;
const token = 'header.payload.signature';
const key = createTestKey({ alg: 'ES256' });
const jkt = thumbprintOf(key);
let clock = 1_800_000_000_000;
const now = () => clock;

function makeVerifier(): ProofVerifier {
  return new ProofVerifier({
    baseURL,
    algorithms: SIGNING_ALGORITHMS,
    store: memorySet({ now }),
    nonce: false,
    verifySignature,
    clockTolerance: 60,
    now,
  });
}

const verifier = makeVerifier();
const requestOf = (proofs: readonly string[]) => ({
  method: 'GET',
  target: '/orders',
  proofs,
  used: { proof: undefined, acceptedBy: new Set() },
  beforeUse: async () => {},
});
const send = (...proofs: string[]) => verifier.verify(requestOf(proofs), token, jkt);
const good = (by: TestKey = key) =>
  createProof({ key: by, method: 'GET', url, token, now: clock / 1000 });

/** Changes one character, removes some, or puts some in. */
const mutation = fc.record({
  at: fc.nat(600),
  removed: fc.nat(3),
  added: fc.string({ unit: fc.oneof(codePoint, fc.constantFrom(...'Aa0-_.=')), maxLength: 3 }),
});

const member = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom('GET', url, 'ES256', 'dpop+jwt', clock / 1000, -0, 1e300, '__proto__'),
);
const members = (...names: string[]) =>
  fc.dictionary(fc.constantFrom(...names, '__proto__', 'toString'), member, { maxKeys: 3 });
const changes = fc.record({
  claims: members('jti', 'htm', 'htu', 'iat', 'ath', 'exp', 'nbf', 'nonce'),
  header: members('typ', 'alg', 'crit', 'b64', 'kid', 'jwk'),
  jwk: members('kty', 'crv', 'x', 'y', 'n', 'e', 'd', 'use', 'alg', 'key_ops', 'kid'),
});

test(`of ${RANDOM_PROOFS} random proofs, none is a fault of ours, and no wrong one comes in`, async () => {
  const refusal = async (proof: string) => {
    const error = await send(proof).then(
      () => undefined,
      (reason: unknown) => reason as { status?: unknown; code?: unknown },
    );
    if (error === undefined) return false;
    expect([error.status, error.code]).toEqual([
      401,
      expect.stringMatching(/^ERR_INVALID_(?:DPOP_PROOF|TOKEN)$/),
    ]);
    return true;
  };
  await fc.assert(
    fc.asyncProperty(mutation, async ({ at, removed, added }) => {
      const proof = good();
      const changed = proof.slice(0, at) + added + proof.slice(at + removed);
      if (changed !== proof) expect(await refusal(changed)).toBe(true);
    }),
    { numRuns: RANDOM_PROOFS / 2 },
  );
  await fc.assert(
    fc.asyncProperty(changes, async ({ claims, header, jwk }) => {
      const [head = '', payload = ''] = good().split('.');
      const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
      const good1 = { ...read(head), ...header };
      const signed = signJws(
        { ...good1, jwk: 'jwk' in header ? header.jwk : { ...good1.jwk, ...jwk } },
        { ...read(payload), ...claims },
        key,
      );
      const isChanged = [claims, header, jwk].some((each) => Object.keys(each).length > 0);
      // A member that is not read, or has the right value, changes nothing.
      if (await refusal(signed)) expect(isChanged).toBe(true);
    }),
    { numRuns: RANDOM_PROOFS / 2 },
  );
}, 600_000);

test(`memory is flat over ${PROOFS} proofs, of many keys`, async () => {
  setFlagsFromString('--expose_gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const used = () => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const judge = makeVerifier();
  const keys = Array.from({ length: 20 }, () => createTestKey({ alg: 'ES256' }));
  const thumbprints = keys.map(thumbprintOf);
  const readings: number[] = [];
  for (let i = 1; i <= PROOFS; i += 1) {
    const by = keys[i % keys.length] as TestKey;
    const proofs = [
      createProof({ key: by, method: 'GET', url, token, now: clock / 1000 }, { jti: randomUUID() }),
    ];
    await judge.verify(requestOf(proofs), token, thumbprints[i % keys.length] as string);
    // Fifty proofs a second: after two minutes, as many expire as come in.
    clock += 20;
    if (i >= PROOFS / 4 && i % (PROOFS / 4) === 0) readings.push(used());
  }
  const [first = 0, ...later] = readings;
  expect(Math.max(...later) - first).toBeLessThan(MAX_GROWTH_BYTES);
}, 1_200_000);
