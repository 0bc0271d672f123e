import { createSign } from 'node:crypto';
import { afterAll } from '@jest/globals';
import nock from 'nock';
import { rsaKeyPair } from '../../../../test/support/test-keys.ts';

export const ISSUER = 'https://issuer.example/';

export type TokenAnswer = [status: number, body: unknown, headers?: Record<string, string>];

export interface TokenRequest {
  readonly form: URLSearchParams;
  readonly authorization: string | undefined;
  /** Its `DPoP` header. */
  readonly dpop: string | undefined;
}

export interface IssuerStandIn {
  /** Requests to the token endpoint, in order. */
  readonly tokenRequests: TokenRequest[];
  readonly revocations: URLSearchParams[];
  /** Pushed requests, in order. */
  readonly pushedRequests: TokenRequest[];
  /** Decides what the endpoint of pushed requests answers next. */
  onPushedRequest: (request: TokenRequest) => TokenAnswer | Promise<TokenAnswer>;
  /** Decides what the token endpoint answers next. */
  onTokenRequest: (request: TokenRequest) => TokenAnswer | Promise<TokenAnswer>;
  revocationStatus: number;
  /** An ID token; a claim given as undefined is left out. */
  idToken(claims?: Record<string, unknown>, header?: Record<string, unknown>): string;
}

// nock takes over node:http as soon as it is imported, for the next test file too.
afterAll(() => nock.restore());

const { publicKey, privateKey } = rsaKeyPair();

/** Answers for the endpoints of the issuer, with nock: metadata, keys, tokens, revocation. */
export function standInForIssuer(metadata: Record<string, unknown> = {}): IssuerStandIn {
  const scope = nock(ISSUER).persist();
  scope.get('/.well-known/openid-configuration').reply(200, {
    issuer: ISSUER,
    jwks_uri: `${ISSUER}jwks`,
    authorization_endpoint: `${ISSUER}authorize`,
    token_endpoint: `${ISSUER}oauth/token`,
    revocation_endpoint: `${ISSUER}oauth/revoke`,
    end_session_endpoint: `${ISSUER}oidc/logout`,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    ...metadata,
  });
  scope.get('/jwks').reply(200, {
    keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'key-1', alg: 'RS256', use: 'sig' }],
  });
  scope.post('/oauth/token').reply(async function answer(_uri, body) {
    const { authorization, dpop } = this.req.headers as Record<string, string | undefined>;
    const request = { form: formOf(body), authorization, dpop };
    standIn.tokenRequests.push(request);
    return (await standIn.onTokenRequest(request)) as [number, nock.Body, nock.ReplyHeaders?];
  });
  scope.post('/oauth/par').reply(async function answer(_uri, body) {
    const { authorization, dpop } = this.req.headers as Record<string, string | undefined>;
    const request = { form: formOf(body), authorization, dpop };
    standIn.pushedRequests.push(request);
    return (await standIn.onPushedRequest(request)) as [number, nock.Body, nock.ReplyHeaders?];
  });
  scope.post('/oauth/revoke').reply((_uri, body) => {
    standIn.revocations.push(formOf(body));
    return [standIn.revocationStatus, ''];
  });

  const standIn: IssuerStandIn = {
    tokenRequests: [],
    revocations: [],
    pushedRequests: [],
    onPushedRequest: () => [
      201,
      { request_uri: 'urn:ietf:params:oauth:request_uri:1', expires_in: 60 },
    ],
    onTokenRequest: () => [500, {}],
    revocationStatus: 200,
    idToken(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000);
      return signJws(
        { alg: 'RS256', kid: 'key-1', ...header },
        {
          iss: ISSUER,
          sub: 'user-1',
          aud: 'client-1',
          sid: 'sid-1',
          iat: now,
          exp: now + 300,
          ...claims,
        },
      );
    },
  };
  return standIn;
}

/** Signs whatever it is given, with the key in the stand-in's set. */
export function signJws(header: object, payload: unknown): string {
  return signTexts(JSON.stringify(header), JSON.stringify(payload));
}

/** Signs these texts or bytes as they are. */
export function signTexts(header: string | Buffer, payload: string | Buffer): string {
  const encode = (part: string | Buffer) => Buffer.from(part).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createSign('sha256').update(input).sign(privateKey, 'base64url')}`;
}

const HEADER = '{"alg":"RS256","kid":"key-1"}';
const DUPLICATE = 'duplicate member names';
const invalidUtf8 = (text: string) => Buffer.from(text.replace(/}$/, ',"x":"\xff"}'), 'latin1');

/** Texts that two readers can read in two ways: name, header, change to a good payload, detail. */
export const MISREADABLE: [string, string | Buffer, (good: string) => string | Buffer, string][] = [
  ['a name twice', HEADER, (good) => good.replace('{', '{"sub":"v",'), DUPLICATE],
  [
    'a name twice, once escaped',
    HEADER,
    (good) => good.replace('{', '{"s\\u0075b":"v",'),
    DUPLICATE,
  ],
  [
    'a name twice further in',
    HEADER,
    (good) => good.replace('{', '{"x":[{"a":1,"a":2}],'),
    DUPLICATE,
  ],
  [
    'a name twice in the header',
    HEADER.replace('{', '{"typ":"a","typ":"jwt",'),
    (good) => good,
    DUPLICATE,
  ],
  ['invalid UTF-8', HEADER, invalidUtf8, 'UTF-8'],
  ['invalid UTF-8 in the header', invalidUtf8(HEADER), (good) => good, 'UTF-8'],
  ['a byte order mark', HEADER, (good) => `\ufeff${good}`, 'UTF-8'],
];

export const signingKeys = async () => [{ key: publicKey, alg: 'RS256' }];

function formOf(body: unknown): URLSearchParams {
  return new URLSearchParams(body as string | Record<string, string>);
}
