import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HostileClaims } from './forge.ts';
import { type HostileTokens, hostileTokens } from './hostile-tokens.ts';
import { createTestKey, publicJwk, signJws, type TestKey } from './test-key.ts';

/** Options of `startTestIssuer`; without any it is a good issuer with one key. */
export interface TestIssuerOptions {
  /** Its keys, the first of which signs; default one for RS256, named `key-1`. */
  keys?: readonly TestKey[] | undefined;
  /** More JWKs for the published set, as they are: weak, foreign, broken ones. */
  otherKeys?: readonly unknown[] | undefined;
  /** Milliseconds since the epoch, for the times in its tokens; default `Date.now`. */
  now?: (() => number) | undefined;
}

/** An issuer for tests that runs, until `close`. */
export interface TestIssuer {
  /** The issuer identifier, with a slash at the end: `http://127.0.0.1:PORT/`. */
  readonly issuer: string;
  /** The keys in the published set; the first one signs. */
  readonly keys: TestKey[];
  /** Paths requested so far, in order; those that got no answer too. */
  readonly requests: string[];
  /** Milliseconds that every answer waits, default 0. */
  delay: number;
  /** Answers every request instead of the issuer while set: garbage, a stall, a redirect. */
  fault: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** From now on every connection is cut without an answer. */
  goDown(): void;
  comeBack(): void;
  /**
   * Puts a new key before the others, so that it signs from now on; the old ones stay published.
   *
   * @param key default a new one of the same algorithm
   * @param dropOld removes the old keys from the set
   * @returns the new key
   */
  rotate(options?: { key?: TestKey; dropOld?: boolean }): TestKey;
  /**
   * Signs a JWT. `iss`, `iat` and `exp` (an hour ahead) are added unless given, and a header of
   * `alg`, `kid` and `typ` `at+jwt`; a member given as undefined is left out.
   */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: TestKey): string;
  /**
   * Tokens that an API must reject, by name. Each is a good token with these claims, except for the one
   * thing its name says; most have a genuine signature.
   *
   * @param claims those of a token your API lets in; `aud` at least
   * @param attacker address to which some tokens point for a key; no request may go there
   */
  hostileTokens(claims: HostileClaims, attacker?: string): HostileTokens;
  /** Stops it. A second call waits for the first. */
  close(): Promise<void>;
}

/**
 * Starts a real issuer on a free loopback port: metadata, a key set, and any token.
 * For tests only: it signs any claims.
 */
export async function startTestIssuer({
  keys = [createTestKey({ kid: 'key-1' })],
  otherKeys = [],
  now = Date.now,
}: TestIssuerOptions = {}): Promise<TestIssuer> {
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
  const signing = (): TestKey => {
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
    rotate({ key = createTestKey({ alg: testIssuer.keys[0]?.alg }), dropOld = false } = {}) {
      if (dropOld) testIssuer.keys.length = 0;
      testIssuer.keys.unshift(key);
      return key;
    },
    token(claims = {}, header = {}, key = signing()) {
      const iat = Math.floor(now() / 1000);
      return signJws(
        { alg: key.alg, typ: 'at+jwt', kid: key.kid, ...header },
        { iss: issuer, iat, exp: iat + 3600, ...claims },
        key,
      );
    },
    hostileTokens(claims, attacker) {
      return hostileTokens({ issuer, key: signing(), now: now() / 1000, claims, attacker });
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
