import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { signJws } from '../signed-jwt.ts';
import type { GoodClaims } from './forge.ts';
import { type HostileTokens, hostileTokens } from './hostile-tokens.ts';
import { createTestKey, publicJwk, rejectUnknown, type TestKey } from './test-key.ts';

/** Options of `startTestIssuer`. */
export interface TestIssuerOptions {
  /** Its keys, of which the first signs. Default: one for RS256 with the `kid` `key-1` */
  keys?: readonly TestKey[] | undefined;
  /** Values to add to the published set unchanged, such as weak or broken JWKs. Default: none */
  otherKeys?: readonly unknown[] | undefined;
  /** Clock for the times in its tokens, in milliseconds since the epoch. Default: `Date.now` */
  now?: (() => number) | undefined;
}

/** An issuer for tests that runs until `close`. */
export interface TestIssuer {
  /** The issuer identifier, with a slash at the end: `http://127.0.0.1:PORT/`. */
  readonly issuer: string;
  /** The keys in the published set, of which the first signs. */
  readonly keys: TestKey[];
  /** Paths of all requests in order, also of those without an answer. */
  readonly requests: string[];
  /** Milliseconds by which every answer is delayed. Default: 0 */
  delay: number;
  /** While set, answers every request instead of the issuer, such as with a redirect or never. */
  fault: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** Cuts every connection without an answer, until `comeBack`. */
  goDown(): void;
  comeBack(): void;
  /**
   * Puts a new key before the others, so that it signs. The old keys stay published.
   *
   * @param key default: a new one of the same algorithm
   * @param dropOld removes the old keys from the set
   * @returns the new key
   */
  rotate(options?: { key?: TestKey; dropOld?: boolean }): TestKey;
  /**
   * Signs a JWT. Defaults: the claims `iss`, `iat` and `exp` (in an hour), in the header `alg`, `kid`
   * and `typ` (`at+jwt`). Undefined removes a member.
   */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: TestKey): string;
  /**
   * Makes tokens that an API must reject, by name. Each is a good token with these claims and one fault,
   * which its name says. Most have a genuine signature.
   *
   * @param claims claims of a token that your API accepts, with `aud`
   * @param attacker address to which some tokens point for a key; no request may go there
   */
  hostileTokens(claims: GoodClaims, attacker?: string): HostileTokens;
  /** Stops the issuer. A second call waits for the first. */
  close(): Promise<void>;
}

/**
 * Starts an issuer on a free loopback port, with metadata and a key set. It signs any claims, so it is
 * for tests only.
 *
 * @example
 * const issuer = await startTestIssuer({ keys: [createTestKey({ alg: 'ES256' })] });
 * const server = createApp({ issuerBaseURL: issuer.issuer }).listen(0);
 * const token = issuer.token({ sub: 'alice', aud: 'https://api.example.com' });
 */
export async function startTestIssuer({
  keys = [createTestKey({ kid: 'key-1' })],
  otherKeys = [],
  now = Date.now,
  ...unknown
}: TestIssuerOptions = {}): Promise<TestIssuer> {
  rejectUnknown(unknown);
  let up = true;
  let closed: Promise<void> | undefined;

  const answer = (request: IncomingMessage, response: ServerResponse) => {
    if (response.destroyed) return;
    if (testIssuer.fault) return testIssuer.fault(request, response);
    if (!up) return request.socket.destroy();
    const document = documents().get(request.url ?? '');
    response.writeHead(document ? 200 : 404, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  };
  const server = createServer((request, response) => {
    testIssuer.requests.push(request.url ?? '');
    if (testIssuer.delay > 0) setTimeout(answer, testIssuer.delay, request, response).unref();
    else answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  const documents = () =>
    new Map<string, object>([
      [
        '/.well-known/openid-configuration',
        {
          issuer,
          jwks_uri: `${issuer}.well-known/jwks.json`,
          authorization_endpoint: `${issuer}authorize`,
          token_endpoint: `${issuer}oauth/token`,
        },
      ],
      ['/.well-known/jwks.json', { keys: [...testIssuer.keys.map(publicJwk), ...otherKeys] }],
    ]);
  const signingKey = (): TestKey => {
    const [key] = testIssuer.keys;
    if (!key) throw new Error('the test issuer has no key to sign with');
    return key;
  };

  const testIssuer: TestIssuer = {
    issuer,
    keys: [...keys],
    requests: [],
    delay: 0,
    fault: undefined,
    goDown() {
      up = false;
    },
    comeBack() {
      up = true;
    },
    rotate({ key, dropOld = false, ...unknown } = {}) {
      rejectUnknown(unknown);
      const added = key ?? createTestKey({ alg: testIssuer.keys[0]?.alg });
      if (dropOld) testIssuer.keys.length = 0;
      testIssuer.keys.unshift(added);
      return added;
    },
    token(claims = {}, header = {}, key = signingKey()) {
      const iat = Math.floor(now() / 1000);
      return signJws(
        { alg: key.alg, typ: 'at+jwt', kid: key.kid, ...header },
        { iss: issuer, iat, exp: iat + 3600, ...claims },
        key,
      );
    },
    hostileTokens(claims, attacker) {
      return hostileTokens({ issuer, key: signingKey(), now: now() / 1000, claims, attacker });
    },
    close() {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closed;
    },
  };
  return testIssuer;
}
