import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHttpClient } from '@koa-oauth/issuer';
import fc from 'fast-check';
import nock from 'nock';
import { casesOf, codePoint } from '../../../../test/support/properties.ts';
import { ApiClient, type ApiTokenSource } from '../../src/api/api.ts';
import { judgeApiResponse } from '../../src/api/api-response.ts';
import { OidcError } from '../../src/errors.ts';
import { demandedSignIn, parseChallenge } from '../../src/oauth/challenge.ts';

describe('a refused token', () => {
  const API = 'https://api.example';
  const INVALID = { 'WWW-Authenticate': 'Bearer error="invalid_token"' };

  let asked: (string | undefined)[];
  let server: Server | undefined;

  beforeEach(() => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    asked = [];
  });

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
    nock.cleanAll();
  });

  afterAll(() => nock.restore());

  /** Supplies token-1, then token-2 in its place, and so on. */
  const renewing: ApiTokenSource = async ({ insteadOf }) => {
    asked.push(insteadOf);
    return insteadOf === undefined ? 'token-1' : `token-${Number(insteadOf.slice(6)) + 1}`;
  };

  const apiWith = (tokens: ApiTokenSource = renewing, baseURL = `${API}/v1`) =>
    new ApiClient({ baseURL, http: createHttpClient(), now: Date.now }).bind(tokens);

  const withToken = (value: string) =>
    nock(API).matchHeader('authorization', (sent) => [sent].flat().join() === `Bearer ${value}`);

  describe('a token that the API refuses (RFC 6750 §3.1)', () => {
    test.each([
      ['invalid_token', INVALID],
      ['no error code', { 'WWW-Authenticate': 'Bearer realm="x"' }],
      ['another scheme before it', { 'WWW-Authenticate': 'Basic realm="x", Bearer' }],
    ])(
      'after %s the token is renewed once, and the request sent once more',
      async (_name, challenge) => {
        withToken('token-1').get('/v1/things?q=1').reply(401, 'no', challenge);
        withToken('token-2').get('/v1/things?q=1').reply(200, { items: [] });
        const answer = await apiWith().get('things', { searchParams: { q: 1 } });
        expect(answer).toMatchObject({ status: 200, body: { items: [] } });
        expect(asked).toEqual([undefined, 'token-1']);
        expect(nock.isDone()).toBe(true);
      },
    );

    test('each call has its own second try', async () => {
      const api = apiWith();
      for (let i = 0; i < 3; i += 1) {
        withToken('token-1').get('/v1/things').reply(401, '', INVALID);
        withToken('token-2').get('/v1/things').reply(200, '');
        expect((await api.get('things')).status).toBe(200);
      }
      expect(asked).toHaveLength(6);
    });

    test('a second 401 surfaces, and neither token is in it', async () => {
      withToken('token-1').get('/v1/things').reply(401, '', INVALID);
      withToken('token-2').get('/v1/things').reply(401, 'token-1, token-2', INVALID);
      const error = await apiWith()
        .get('things')
        .catch((e) => e);
      expect(error).toMatchObject({ code: 'ERR_API_TOKEN_REFUSED', status: 401 });
      expect(asked).toEqual([undefined, 'token-1']);
      expect(inspect(error, { depth: 50, showHidden: true })).not.toMatch(/token-\d/);
    });

    test('where no other token can be had, the request is not sent again', async () => {
      withToken('only').get('/v1/things').reply(401, '', INVALID);
      await expect(apiWith(async () => 'only').get('things')).rejects.toMatchObject({
        code: 'ERR_API_TOKEN_REFUSED',
      });
    });

    test.each([
      ['401 without a challenge', 401, {}],
      ['401 of another scheme', 401, { 'WWW-Authenticate': 'Basic realm="x"' }],
      ['401 for another reason', 401, { 'WWW-Authenticate': 'Bearer error="invalid_request"' }],
      ['403', 403, { 'WWW-Authenticate': 'Bearer error="insufficient_scope", scope="a"' }],
      ['403 that names the token', 403, INVALID],
      ['429', 429, { 'Retry-After': '1' }],
      ['503', 503, { 'Retry-After': '1' }],
      ['500', 500, {}],
    ])('a %s renews nothing', async (_name, status, headers) => {
      withToken('token-1').get('/v1/things').reply(status, '', headers);
      await expect(apiWith().get('things')).rejects.toMatchObject({ response: { status } });
      expect(asked).toEqual([undefined]);
    });

    const failures: [string, Error][] = [
      ['of ours', new OidcError('ERR_LOGIN_REQUIRED')],
      ['of another make', Object.assign(new Error('down'), { status: 503 })],
    ];
    test.each(failures)(
      'a renewal that fails surfaces as it is: an error %s',
      async (_name, failure) => {
        withToken('token-1').get('/v1/things').reply(401, '', INVALID);
        const tokens: ApiTokenSource = async ({ insteadOf }) => {
          if (insteadOf) throw failure;
          return 'token-1';
        };
        expect(
          await apiWith(tokens)
            .get('things')
            .catch((e) => e),
        ).toBe(failure);
        expect(inspect(failure, { depth: 50, showHidden: true })).not.toContain('token-1');
      },
    );

    test.each<[string, object, unknown]>([
      ['json', { json: { a: 1 } }, { a: 1 }],
      ['a form', { form: { a: 1 } }, { a: '1' }],
      ['a text', { body: 'text' }, 'text'],
      ['bytes', { body: Buffer.from('bytes') }, 'bytes'],
    ])('%s is sent once more, whole', async (_name, options, body) => {
      withToken('token-1')
        .post('/v1/things', body as nock.DataMatcherMap)
        .reply(401, '', INVALID);
      withToken('token-2')
        .post('/v1/things', body as nock.DataMatcherMap)
        .reply(201, '');
      expect((await apiWith().post('things', options)).status).toBe(201);
    });

    test('a POST is not sent again when its answer broke', async () => {
      let requests = 0;
      server = createServer((request) => {
        requests += 1;
        request.socket.destroy();
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const api = apiWith(renewing, `http://127.0.0.1:${port}/v1`);
      await expect(api.post('things', { json: 1 })).rejects.toMatchObject({ status: 503 });
      expect(requests).toBe(1);
    });
  });

  describe('redirects', () => {
    const targets = [
      'https://evil.example/v1/things',
      'http://api.example/v1/things',
      'https://api.example:8443/v1/things',
      '//evil.example/',
      '/v1/elsewhere',
    ];
    const cases = [301, 302, 303, 307, 308].flatMap((status) =>
      targets.map((target): [number, string] => [status, target]),
    );
    test.each(cases)('a %i to %s is not followed', async (status, Location) => {
      const sent: string[] = [];
      const noted = (url: string) =>
        nock(url)
          .get(/.*/)
          .reply(() => [200, sent.push(url)]);
      for (const url of ['https://evil.example', 'http://api.example', `${API}:8443`]) noted(url);
      withToken('token-1').get('/v1/things').reply(status, '', { Location });
      nock(API)
        .get('/v1/elsewhere')
        .reply(() => [200, sent.push(API)]);
      await expect(apiWith().get('things')).rejects.toMatchObject({
        code: 'ERR_API_REFUSED',
        status: 502,
        response: { status },
      });
      expect(sent).toEqual([]);
    });
  });

  test('over real HTTP, the token is in the Authorization header and nowhere else', async () => {
    const seen: string[] = [];
    server = createServer((request, response) => {
      const { authorization, ...rest } = request.headers;
      seen.push(authorization ?? '', JSON.stringify([request.url, rest]));
      response.writeHead(seen.length < 3 ? 401 : 200, INVALID).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await apiWith(renewing, `http://127.0.0.1:${port}/v1`).get('things');
    expect(seen).toEqual([
      'Bearer token-1',
      expect.not.stringContaining('token'),
      'Bearer token-2',
      expect.not.stringContaining('token'),
    ]);
  });

  test('a demand for another sign-in renews no token and is sent once (RFC 9470 §3)', async () => {
    const challenge = 'Bearer error="insufficient_user_authentication", acr_values="mfa"';
    const scope = nock(API).post('/v1/things').reply(401, {}, { 'WWW-Authenticate': challenge });
    await expect(apiWith().post('things', { json: {} })).rejects.toMatchObject({
      code: 'ERR_STEP_UP_REQUIRED',
      status: 401,
      requirement: { acr: 'mfa' },
      detail: expect.stringContaining('401 insufficient_user_authentication'),
    });
    expect(asked).toEqual([undefined]);
    scope.done();
  });
});

describe('the sign-in that an API demands (RFC 9470 §3)', () => {
  const URNS = Array.from(
    { length: 8 },
    (_, n) => `urn:oasis:names:tc:SAML:2.0:ac:classes:A${n}`,
  ).join(' ');
  const demanded = (attributes: string, scheme: 'Bearer' | 'DPoP' = 'Bearer') => {
    const challenge = parseChallenge(`${scheme} error="e", ${attributes}`, scheme);
    return challenge && demandedSignIn(challenge);
  };

  test.each<[string, unknown]>([
    ['acr_values="mfa"', { acr: 'mfa' }],
    ['acr_values=mfa, max_age=0', { acr: 'mfa', maxAge: 0 }],
    ['max_age="300", acr_values="urn:a urn:b"', { acr: 'urn:a urn:b', maxAge: 300 }],
    ['scope="x"', {}],
    [`acr_values="${URNS}"`, { acr: URNS }],
  ])('%s is read for both schemes', (attributes, expected) => {
    expect(demanded(attributes)).toEqual(expected);
    expect(demanded(attributes, 'DPoP')).toEqual(expected);
  });

  test.each([
    'max_age="-1"',
    'max_age="1.5"',
    'max_age="0x10"',
    'max_age=""',
    'max_age="99999999999"',
    'max_age="1 2"',
    'acr_values=""',
    'acr_values=" mfa"',
    'acr_values="a  b"',
    'acr_values="mfa\t"',
    'acr_values="mfa\u0000"',
    'acr_values="m\u00e9"',
    'acr_values="\u202emfa"',
    `acr_values="${'a '.repeat(256)}b"`,
    `acr_values="${'abcdefghij'.repeat(5)}"`,
  ])('a hostile value is used for nothing, nor is the rest: %j', (attributes) => {
    expect(demanded(`${attributes}, x="y"`)).toEqual({});
    const other = attributes.startsWith('max_age') ? 'acr_values="mfa"' : 'max_age="300"';
    expect(demanded(`${attributes}, ${other}`)).toEqual({});
  });
});

test.each<[string, boolean, unknown]>([
  ['Bearer E, acr_values="b", DPoP algs="ES256"', false, { acr: 'b' }],
  ['DPoP E, acr_values="d", max_age="9", Bearer realm="r"', true, { acr: 'd', maxAge: 9 }],
  ['Bearer E, acr_values="b"', true, { acr: 'b' }],
  ['Bearer E, acr_values="b", scope="write"', false, { acr: 'b', scope: 'write' }],
  ['DPoP E, acr_values="d"', false, undefined],
])('%s, to a bound token: %s', (header, isBound, requirement) => {
  const value = header.replace('E', 'error="insufficient_user_authentication"');
  const response = { status: 401, headers: { 'www-authenticate': value }, body: '' };
  const code = requirement ? 'ERR_STEP_UP_REQUIRED' : 'ERR_API_TOKEN_REFUSED';
  expect(() => judgeApiResponse(response, 'GET x', 0, isBound)).toThrow(
    expect.objectContaining({ code, requirement }),
  );
});

test('no challenge brings more than short printable words into a sign-in', () => {
  const text = fc.string({ unit: codePoint, maxLength: 700 });
  const attributes = fc.oneof(
    text,
    fc.tuple(text, text).map(([acr, age]) => `acr_values="${acr}", max_age="${age}"`),
    fc.tuple(text, fc.double()).map(([acr, age]) => `max_age=${age}, acr_values=${acr}`),
  );
  fc.assert(
    fc.property(attributes, (sent) => {
      const challenge = parseChallenge(`Bearer error="e", ${sent}`, 'Bearer');
      const { acr = 'a', maxAge = 0 } = challenge ? demandedSignIn(challenge) : {};
      expect(acr).toMatch(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/);
      expect(acr.length).toBeLessThanOrEqual(512);
      expect(Number.isSafeInteger(maxAge) && maxAge >= 0).toBe(true);
    }),
    { numRuns: casesOf(5000) },
  );
});

describe('the challenge of an API', () => {
  test.each([
    ['Bearer', { error: undefined, scope: undefined }],
    ['bearer error=invalid_token', { error: 'invalid_token', scope: undefined }],
    ['Bearer realm="a, b", error="e", scope="x y"', { error: 'e', scope: 'x y' }],
    ['Bearer error="a \\"b\\""', { error: 'a "b"', scope: undefined }],
    ['Basic realm="x", Bearer error="e"', { error: 'e', scope: undefined }],
    ['Bearer error="first", error="second"', { error: 'first', scope: undefined }],
  ])('RFC 6750 §3: %s', (header, expected) => {
    expect(parseChallenge(header, 'Bearer')).toEqual(expected);
  });

  test.each([undefined, '', 'Basic realm="x"', 'Bearerish error="e"', 'DPoP error="e"'])(
    'no Bearer challenge: %s',
    (header) => {
      expect(parseChallenge(header, 'Bearer')).toBeUndefined();
    },
  );

  test('of a header of any length, the first 2 kB are read', () => {
    const header = `Bearer error="e", scope="${'x '.repeat(1500)}", x="y"`;
    expect(parseChallenge(header, 'Bearer')).toEqual({ error: 'e', scope: undefined });
    expect(parseChallenge(`${','.repeat(2048)} Bearer error="e"`, 'Bearer')).toBeUndefined();
  });
});
