/**
 * An issuer for the tests of an API. It serves real HTTP on loopback, signs any token, and has over a
 * hundred tokens that the API must reject.
 *
 * ```ts
 * const issuer = await startTestIssuer();
 * const server = createApp({ issuerBaseURL: issuer.issuer, audience }).listen(0);
 * expect(await statusOf(server, issuer.token({ sub: 'alice', aud: audience }))).toBe(200);
 * for (const token of Object.values(issuer.hostileTokens({ aud: audience })))
 *   expect([401, 431]).toContain(await statusOf(server, token)); // 431: Node's own, to a huge header
 * ```
 *
 * @module
 */

export { type Signer, signInput, signJws } from './signed-jwt.ts';
export { createProof, type ProofOptions, thumbprintOf } from './testing/dpop-proof.ts';
export type { GoodClaims, HostileTokensOptions } from './testing/forge.ts';
export {
  type HostileProofName,
  type HostileProofs,
  hostileProofs,
} from './testing/hostile-proofs.ts';
export {
  type HostileTokenName,
  type HostileTokens,
  hostileTokens,
} from './testing/hostile-tokens.ts';
export type { HostileProofsOptions, HostileRequest } from './testing/proof-forge.ts';
export {
  startTestIssuer,
  /** @deprecated Use `startTestIssuer`. */
  startTestIssuer as startIssuer,
  type TestIssuer,
  type TestIssuerOptions,
} from './testing/test-issuer.ts';
export {
  createTestKey,
  publicJwk,
  TEST_ALGORITHMS,
  type TestAlgorithm,
  type TestKey,
} from './testing/test-key.ts';
