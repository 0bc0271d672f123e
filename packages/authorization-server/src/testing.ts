/**
 * The authorization server for tests of an API or an app: real logins, minted tokens, hostile tokens.
 *
 * ```ts
 * const issuer = await startLocalIssuer();
 * const server = createApp({ issuerBaseURL: issuer.issuer, audience }).listen(0);
 * expect(await statusOf(server, await issuer.tokenFor({ user: 'bob' }))).toBe(200);
 * expect(await statusOf(server, issuer.mint({ exp: 1 }))).toBe(401);
 * await issuer.rotateKeys({ revoke: true });
 * ```
 *
 * @module
 */
export type { HostileTokenName, HostileTokens } from '@koa-oauth/issuer/testing';
export {
  credentialsOf,
  requestTokens,
  type TokenRequest,
  type TokenResponse,
} from './testing/code-flow.ts';
export type { Mint } from './testing/mint.ts';
export { type Credentials, signIn } from './testing/sign-in.ts';
export {
  type LocalIssuer,
  type LocalIssuerOptions,
  startLocalIssuer,
  /** @deprecated Use `startLocalIssuer`. */
  startLocalIssuer as startIssuer,
} from './testing/start-local-issuer.ts';
