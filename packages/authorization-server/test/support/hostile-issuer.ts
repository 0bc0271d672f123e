import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

/** Parts of one answer of the issuer. A test can change each. */
export interface Answer {
  claims: JWTPayload;
  header: { alg: string; kid: string };
  key: CryptoKey | Uint8Array;
  /** Status of the token endpoint. */
  status: number;
  body: Record<string, unknown>;
  /** Answer of the userinfo endpoint. */
  userinfo: Record<string, unknown>;
}

/** A stand-in for an OpenID provider that answers any code, as a test wants it to. */
export interface HostileIssuer {
  /** With a slash at its end. */
  readonly issuer: string;
  /** Additional members of the discovery document. */
  readonly metadata: Record<string, unknown>;
  /** Number of requests for each path. */
  readonly requests: Record<string, number>;
  /** A key that is not published, under the published one's id. */
  readonly otherKey: CryptoKey;
  /** Sets the next answers: the right one for this nonce, with a change. */
  answer(nonce: string, change?: (answer: Answer) => void): void;
  close(): Promise<void>;
}

export async function startHostileIssuer(clientId: string): Promise<HostileIssuer> {
  const [right, other] = await Promise.all([generateKeyPair('RS256'), generateKeyPair('RS256')]);
  const jwk: JWK = { ...(await exportJWK(right.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' };
  const metadata: Record<string, unknown> = {};
  const requests: Record<string, number> = {};
  let issuer = '';
  let answer: Answer | undefined;

  const token = async (): Promise<[number, object]> => {
    if (answer === undefined) return [400, { error: 'invalid_grant' }];
    const { claims, header, key, status, body } = answer;
    const unsigned = [header, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    );
    const id_token =
      header.alg === 'none'
        ? `${unsigned.join('.')}.`
        : await new SignJWT(claims).setProtectedHeader(header).sign(key);
    return [status, { access_token: 'at', token_type: 'Bearer', id_token, ...body }];
  };
  const answers: Record<string, () => [number, object] | Promise<[number, object]>> = {
    '/.well-known/openid-configuration': () => [
      200,
      {
        issuer,
        authorization_endpoint: `${issuer}authorize`,
        token_endpoint: `${issuer}token`,
        jwks_uri: `${issuer}jwks`,
        userinfo_endpoint: `${issuer}userinfo`,
        ...metadata,
      },
    ],
    '/jwks': () => [200, { keys: [jwk] }],
    '/token': token,
    '/userinfo': () => [200, answer?.userinfo ?? {}],
  };

  const server: Server = createServer((request, response) => {
    const path = new URL(request.url ?? '', issuer).pathname;
    requests[path] = (requests[path] ?? 0) + 1;
    const answering = answers[path] ?? (() => [404, {}] as [number, object]);
    void Promise.resolve(answering()).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  return {
    issuer,
    metadata,
    requests,
    otherKey: other.privateKey,
    answer(nonce, change = () => {}) {
      const now = Math.floor(Date.now() / 1000);
      const claims = { iss: issuer, aud: clientId, sub: 'eve', iat: now, exp: now + 60, nonce };
      answer = {
        claims: { ...claims, name: 'Eve', email: 'eve@example.com' },
        header: { alg: 'RS256', kid: 'k' },
        key: right.privateKey,
        status: 200,
        body: {},
        userinfo: {},
      };
      change(answer);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
