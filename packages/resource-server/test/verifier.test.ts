import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  createProof,
  startTestIssuer,
  type TestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import Koa from 'koa';
import { fillIn, snippet } from '../../../test/support/snippets.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import {
  type AccessTokenVerifierOptions,
  type AuthEvent,
  auth,
  createAccessTokenVerifier,
} from '../src/index.ts';

const audience = 'https://api.example.com';
const START = 1_800_000_000_000;
const clientKey = testKey({ kid: 'client', alg: 'ES256' });

let issuer: TestIssuer;
let clock: number;
let events: AuthEvent[];
const now = () => clock;

beforeEach(async () => {
  clock = START;
  events = [];
  issuer = await startTestIssuer({ keys: [testKey()], now });
});
afterEach(() => issuer.close());

const verifier = (options: Partial<AccessTokenVerifierOptions<unknown>> = {}) =>
  createAccessTokenVerifier({
    issuerBaseURL: issuer.issuer,
    audience,
    now,
    onEvent: (event) => events.push(event),
    ...options,
  });
const token = (claims: Record<string, unknown> = {}) =>
  issuer.token({ sub: 'alice', aud: audience, jti: 'j', ...claims });
const bearer = (value: string) => ({ headers: { authorization: `Bearer ${value}` } });

/** Returns what is thrown, as an answer would have it. */
const refusal = (verified: Promise<unknown>) =>
  verified.then(
    () => 'accepted',
    ({ status, code, reason, headers }) => ({
      status,
      code,
      reason,
      challenge: headers['WWW-Authenticate'],
    }),
  );

describe('a token', () => {
  test('is verified without a request', async () => {
    const content = await verifier()(token({ scope: 'read' }));
    expect(content.payload).toMatchObject({ sub: 'alice', scope: 'read' });
    expect(events).toEqual([{ type: 'verified', clientId: undefined, cached: false }]);
  });

  test('is found in the cache of the function from the third time on', async () => {
    const verify = verifier();
    const value = token();
    for (let use = 0; use < 3; use += 1) await verify(value);
    expect(events.map((event) => event.type === 'verified' && event.cached)).toEqual([
      ...[false, false],
      true,
    ]);
    clock += 2 * 3_600_000;
    expect(await refusal(verify(value))).toMatchObject({ reason: 'expired' });
  });

  test('that is bad is refused with the challenge that an answer needs', async () => {
    const verify = verifier({ realm: 'orders' });
    expect(await refusal(verify(token({ aud: 'other' })))).toEqual({
      status: 401,
      code: 'ERR_INVALID_TOKEN',
      reason: 'audience',
      challenge:
        'Bearer realm="orders", error="invalid_token", ' +
        'error_description="the access token is meant for another audience"',
    });
    expect(events).toMatchObject([{ type: 'refused', reason: 'audience' }]);
  });

  test.each([
    ['an opaque text', 'opaque', 401],
    ['two words', 'a b', 400],
    ['nothing', '', 400],
  ])('that is %s is refused', async (_, value, status) => {
    expect(await refusal(verifier()(value))).toMatchObject({ status });
  });

  test('cannot be checked while its issuer is away', async () => {
    issuer.goDown();
    expect(await refusal(verifier()(token()))).toMatchObject({ status: 503 });
  });
});

describe('a request', () => {
  test('has the rules of `auth`', async () => {
    const verify = verifier();
    expect(await verify(bearer(token()))).toMatchObject({ payload: { sub: 'alice' } });
    expect(await refusal(verify({}))).toMatchObject({ status: 401, code: 'ERR_MISSING_TOKEN' });
    const query = { ...bearer(token()), url: `/?access_token=${token()}` };
    expect(await refusal(verify(query))).toMatchObject({ code: 'ERR_INVALID_REQUEST' });
    const twice = ['Authorization', `Bearer ${token()}`];
    const request = { rawHeaders: [...twice, ...twice] };
    expect(await refusal(verify(request))).toMatchObject({ code: 'ERR_INVALID_REQUEST' });
  });

  test('needs the proof of a bound token, for its method and address, once', async () => {
    const verify = verifier({ dpop: { baseURL: audience } });
    const accessToken = token({ cnf: { jkt: thumbprintOf(clientKey) } });
    const proof = (method: string) =>
      createProof({
        key: clientKey,
        method,
        url: `${audience}/live`,
        token: accessToken,
        now: clock / 1000,
      });
    const request = (method: string, dpop: string) => ({
      method,
      url: '/live?room=1',
      headers: { authorization: `DPoP ${accessToken}`, dpop },
    });
    const good = request('GET', proof('GET'));
    await verify(good);
    expect(await refusal(verify({ ...request('GET', good.headers.dpop) }))).toMatchObject({
      reason: 'proof_used',
    });
    expect(await refusal(verify(request('GET', proof('POST'))))).toMatchObject({
      reason: 'proof_method',
    });
    expect(await refusal(verify(accessToken))).toMatchObject({ reason: 'sender_constrained' });
  });

  test('can be verified again without another proof, until its token ends', async () => {
    const verify = verifier({ dpop: { baseURL: audience, nonce: true } });
    const accessToken = token({ cnf: { jkt: thumbprintOf(clientKey) } });
    const proof = (nonce?: string) =>
      createProof({
        key: clientKey,
        method: 'GET',
        url: audience,
        token: accessToken,
        now: clock / 1000,
        nonce,
      });
    const request = (dpop: string) => ({
      method: 'GET',
      url: '/',
      headers: { authorization: `DPoP ${accessToken}`, dpop },
    });
    const nonce = await verify(request(proof())).catch(({ headers }) => headers['DPoP-Nonce']);
    const good = request(proof(nonce));
    await verify(good);
    clock += 30 * 60_000;
    await verify(good);
    // Another verifier has not seen the proof in time.
    const other = verifier({ dpop: { baseURL: audience } });
    expect(await refusal(other(good))).toMatchObject({ reason: 'proof_time' });
    clock += 31 * 60_000;
    expect(await refusal(verify(good))).toMatchObject({ reason: 'expired' });
  });

  describe('with a proof', () => {
    const bound = () => {
      const verify = verifier({ dpop: { baseURL: audience } });
      const accessToken = token({ cnf: { jkt: thumbprintOf(clientKey) } });
      const options = { key: clientKey, method: 'GET', url: audience, token: accessToken };
      const headers = () => ({
        authorization: `DPoP ${accessToken}`,
        dpop: createProof({ ...options, now: clock / 1000 }),
      });
      return { verify, headers, request: () => ({ method: 'GET', url: '/', headers: headers() }) };
    };

    test.each<[string, (request: object) => object]>([
      ['a copy', (request) => ({ ...request })],
      ['an assigned copy', (request) => Object.assign({}, request)],
      ['an object that inherits from it', (request) => Object.create(request)],
    ])('%s is another request, and needs another proof', async (_, copy) => {
      const { verify, request } = bound();
      const good = request();
      await verify(good);
      expect(await refusal(verify(copy(good)))).toMatchObject({ reason: 'proof_used' });
    });

    test('is not changed: it can be frozen', async () => {
      const { verify, request } = bound();
      const frozen = Object.freeze(request());
      await verify(frozen);
      await verify(frozen);
      const plain = request();
      await verify(plain);
      expect(Reflect.ownKeys(plain)).toEqual(['method', 'url', 'headers']);
    });

    test('cannot go back to the proof before', async () => {
      const { verify, request, headers } = bound();
      const reused = request();
      const [first, second] = [reused.headers, headers()];
      await verify(reused);
      reused.headers = second;
      await verify(reused);
      reused.headers = first;
      expect(await refusal(verify(reused))).toMatchObject({ reason: 'proof_used' });
    });
  });

  test.each([undefined, null])('that is %s has no token', async (nothing) => {
    expect(await refusal(verifier()(nothing as never))).toMatchObject({
      code: 'ERR_MISSING_TOKEN',
    });
  });
});

/** The part of the package ws that the README uses: a handshake, and frames of the server. */
const webSockets = {
  handleUpgrade(
    request: IncomingMessage,
    socket: Socket,
    _head: Buffer,
    done: (webSocket: object) => void,
  ) {
    const text = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(text).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    // The end of a socket is noticed only while it is read.
    socket.once('end', () => socket.end()).resume();
    done({
      once: (event: 'close', listener: () => void) => socket.once(event, listener),
      send: (message: string) =>
        socket.write(Buffer.concat([Buffer.from([0x81, message.length]), Buffer.from(message)])),
      // A close frame (RFC 6455 §5.5.1).
      close: (code: number) => socket.end(Buffer.from([0x88, 2, code >> 8, code & 0xff])),
    });
  },
};

describe('the WebSocket of the README, next to Koa', () => {
  const servers: Server[] = [];
  const revoked = new Set<unknown>();
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.close().closeAllConnections();
      // This waits for the WebSockets too, which verify their tokens until they end.
      await once(server, 'close');
    }
    revoked.clear();
  });

  async function startServer(): Promise<number> {
    const app = new Koa();
    app.silent = true;
    app.use(auth({ issuerBaseURL: issuer.issuer, audience, now }));
    app.use((ctx) => {
      ctx.body = 'by Koa';
    });
    const server = createServer(app.callback()).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const verify = verifier({ isRevoked: ({ jti }) => revoked.has(jti) });
    const code = snippet('packages/resource-server/README.md', 'ts', 'Without Koa');
    const body = code.slice(code.indexOf('server.on'));
    new Function(
      'server',
      'webSockets',
      'verify',
      fillIn(body, { ' as AuthError': '', '5000': '20' }),
    )(server, webSockets, verify);
    return (server.address() as AddressInfo).port;
  }

  /** Opens a WebSocket, and collects the bytes of the server. */
  function open(port: number, value: string) {
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nAuthorization: Bearer ${value}\r\n\r\n`,
    );
    const connection = { socket, text: '' };
    socket.on('data', (bytes) => {
      connection.text += bytes.toString('latin1');
    });
    return connection;
  }
  const opened = async (connection: { text: string }) => {
    while (!connection.text.includes('alice')) await sleep(5);
    expect(connection.text).toMatch(/^HTTP\/1\.1 101 /);
  };
  const closed = ({ socket }: { socket: Socket }) => once(socket, 'close');

  test('closes with 3000 when its token is revoked, and not before', async () => {
    const port = await startServer();
    const kept = open(port, token({ jti: 'kept' }));
    const ended = open(port, token({ jti: 'ended' }));
    await Promise.all([opened(kept), opened(ended)]);
    await sleep(60);
    expect([kept.socket.readyState, ended.socket.readyState]).toEqual(['open', 'open']);
    revoked.add('ended');
    await closed(ended);
    expect(ended.text.slice(-4)).toBe('\x88\x02\x0b\xb8');
    expect(kept.socket.readyState).toBe('open');
    kept.socket.destroy();
  });

  test('closes when its token ends', async () => {
    const connection = open(await startServer(), token());
    await opened(connection);
    clock += 62 * 60_000;
    await closed(connection);
    expect(connection.text.slice(-4)).toBe('\x88\x02\x0b\xb8');
  });

  test('is refused with the challenge that Koa sends', async () => {
    const port = await startServer();
    const connection = open(port, token({ aud: 'other' }));
    await closed(connection);
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      headers: { authorization: `Bearer ${token({ aud: 'other' })}` },
    });
    expect(connection.text).toMatch(/^HTTP\/1\.1 401 /);
    expect(connection.text).toContain(
      `WWW-Authenticate: ${response.headers.get('www-authenticate')}\r\n`,
    );
    expect(response.status).toBe(401);
  });
});
