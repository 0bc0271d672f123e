import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One RSA key pair of a test issuer, with the name it bears in the key set. */
export interface TestKey {
  readonly kid: string;
  readonly alg: 'RS256';
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface TestIssuer {
  /** The issuer identifier, with a slash at the end: `http://127.0.0.1:PORT/`. */
  readonly issuer: string;
  /** The keys in the published set; the first one signs. Change it to rotate. */
  readonly keys: TestKey[];
  /** Paths requested so far, in order. */
  readonly requests: string[];
  /** Answers every request in place of the issuer while set: an outage, a stall, garbage. */
  fault: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /**
   * Signs a JWT. `iss`, `iat` and `exp` (an hour ahead) are added unless given; a claim given as
   * undefined is left out.
   */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: TestKey): string;
  close(): Promise<void>;
}

/** Makes an RSA key pair of 2048 bits. */
export function createTestKey(kid: string): TestKey {
  return { kid, alg: 'RS256', ...generateKeyPairSync('rsa', { modulusLength: 2048 }) };
}

/** Joins a header and a payload, of whatever form, and signs them with RS256 (RFC 7515 §7.1). */
export function signJws(header: unknown, payload: unknown, privateKey: KeyObject): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createSign('sha256').update(input).sign(privateKey, 'base64url')}`;
}

/**
 * Starts a real issuer on a free loopback port: metadata, a key set, and any token one asks for.
 * For tests only: it signs what it is told.
 */
export async function startIssuer({
  keys = [createTestKey('key-1')],
}: {
  keys?: TestKey[];
} = {}): Promise<TestIssuer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    if (testIssuer.fault) return testIssuer.fault(request, response);
    const document = documents()[request.url ?? ''];
    response.writeHead(document ? 200 : 404, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  const documents = (): Record<string, unknown> => ({
    '/.well-known/openid-configuration': {
      issuer,
      jwks_uri: `${issuer}.well-known/jwks.json`,
      authorization_endpoint: `${issuer}authorize`,
      token_endpoint: `${issuer}oauth/token`,
    },
    '/.well-known/jwks.json': {
      keys: testIssuer.keys.map(({ kid, alg, publicKey }) => ({
        ...publicKey.export({ format: 'jwk' }),
        kid,
        alg,
        use: 'sig',
      })),
    },
  });

  const testIssuer: TestIssuer = {
    issuer,
    keys,
    requests,
    fault: undefined,
    token(claims = {}, header = {}, key = testIssuer.keys[0]) {
      if (!key) throw new Error('the test issuer has no key to sign with');
      const now = Math.floor(Date.now() / 1000);
      return signJws(
        { alg: key.alg, typ: 'at+jwt', kid: key.kid, ...header },
        { iss: issuer, iat: now, exp: now + 3600, ...claims },
        key.privateKey,
      );
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return testIssuer;
}

function encode(value: unknown): string {
  const bytes = Buffer.isBuffer(value)
    ? value
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);
  return Buffer.from(bytes).toString('base64url');
}
