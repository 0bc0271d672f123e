import { inspect } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ClientCredentials } from '@koa-oauth/issuer';
import { createHttpClient } from '@koa-oauth/issuer';
import fc from 'fast-check';
import nock from 'nock';
import type { OidcError } from '../../src/errors.ts';
import { type ClientMessage, reportMessage } from '../../src/messages.ts';
import { createSessionKey, Dpop } from '../../src/oauth/dpop.ts';
import {
  judgeTokenResponse,
  postToEndpoint,
  retryAfter,
  TokenRequestRefused,
} from '../../src/oauth/token-endpoint.ts';

const ENDPOINT = { url: 'https://issuer.example/oauth/token', issuer: 'https://issuer.example/' };
const client: ClientCredentials = {
  clientID: 'client:1',
  clientSecret: 'sécret &+%',
  clientAuthMethod: 'client_secret_basic',
};
const grant = { grant_type: 'authorization_code', code: 'the-code', code_verifier: 'verifier' };
const http = createHttpClient();
const seconds = () => Math.floor(Date.now() / 1000);
const request = { ...ENDPOINT, credentials: client, parameters: grant, http, seconds };

beforeEach(() => nock.disableNetConnect());
afterEach(() => {
  // The timers of late answers.
  nock.abortPendingRequests();
  nock.cleanAll();
});

// It replaces node:http for all test files of a process until it is restored.
afterAll(() => nock.restore());

describe('client authentication (RFC 6749 §2.3.1)', () => {
  test('client_secret_basic encodes both before it joins them, and the form has neither', async () => {
    const credentials = Buffer.from('client%3A1:s%C3%A9cret+%26%2B%25').toString('base64');
    nock('https://issuer.example')
      .post('/oauth/token', grant)
      .matchHeader('authorization', `Basic ${credentials}`)
      .reply(200, { ok: true });
    const answer = await postToEndpoint(request);
    expect(answer).toMatchObject({ status: 200, body: { ok: true } });
  });

  test('client_secret_post puts both into the form, and no header', async () => {
    nock('https://issuer.example', { badheaders: ['authorization'] })
      .post('/oauth/token', { ...grant, client_id: 'client:1', client_secret: 'sécret &+%' })
      .reply(200, {}, { 'Retry-After': '5' });
    const credentials: ClientCredentials = { ...client, clientAuthMethod: 'client_secret_post' };
    const { status, headers } = await postToEndpoint({ ...request, credentials });
    expect([status, headers['retry-after']]).toEqual([200, '5']);
  });
});

test('a body that is no JSON is undefined', async () => {
  nock('https://issuer.example').post('/oauth/token').reply(200, 'OK');
  expect(await postToEndpoint(request)).toMatchObject({ status: 200, body: undefined });
});

test('follows no redirect', async () => {
  nock('https://issuer.example')
    .post('/oauth/token')
    .reply(307, '', { Location: 'https://evil.example/' });
  expect((await postToEndpoint(request)).status).toBe(307);
});

test.each([500, 503])('repeats nothing after a %i', async (status) => {
  const scope = nock('https://issuer.example').post('/oauth/token').reply(status);
  expect((await postToEndpoint(request)).status).toBe(status);
  expect(scope.isDone()).toBe(true);
});

describe('no answer is a 503 that holds nothing of the request', () => {
  const faults: [string, (interceptor: nock.Interceptor) => void][] = [
    ['a broken connection', (i) => i.replyWithError(new Error('reset'))],
    ['one that takes too long', (i) => i.delay(2000).reply(200, {})],
    ['one whose body takes too long', (i) => i.delayBody(2000).reply(200, {})],
    ['one that is too large', (i) => i.reply(200, 'x'.repeat(1024 * 1024))],
  ];
  test.each(faults)('%s', async (_name, fault) => {
    fault(nock('https://issuer.example').post('/oauth/token'));
    const error = await postToEndpoint({
      ...request,
      http: createHttpClient({ timeout: 150 }),
    }).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', status: 503 });
    const everything = inspect(error, { depth: 20, showHidden: true });
    for (const secret of ['the-code', 'verifier', 'cret', 'Basic']) {
      expect(everything).not.toContain(secret);
    }
  });
});

const NOW = 1_700_000_000;
const good = { access_token: 'a', token_type: 'Bearer', expires_in: 60, scope: 'openid read' };
const judge = (body: unknown, status = 200, headers = {}) =>
  judgeTokenResponse({ status, headers, body }, 'openid', NOW);

function errorOf(work: () => unknown): OidcError {
  try {
    work();
  } catch (error) {
    return error as OidcError;
  }
  throw new Error('it was accepted');
}

describe('token response (RFC 6749 §5.1)', () => {
  test('is read', () => {
    expect(judge({ ...good, refresh_token: 'r', id_token: 'i.d.t', extra: 1 })).toEqual({
      accessToken: 'a',
      expiresAt: NOW + 60,
      scope: 'openid read',
      refreshToken: 'r',
      idToken: 'i.d.t',
    });
  });

  test.each([
    ['token_type in lower case', { token_type: 'bearer' }, {}],
    ['token_type in upper case', { token_type: 'BEARER' }, {}],
    ['token_type missing: Bearer', { token_type: undefined }, {}],
    ['token_type null: Bearer', { token_type: null }, {}],
    ['expires_in as text', { expires_in: '60' }, { expiresAt: NOW + 60 }],
    ['expires_in with a fraction', { expires_in: 60.9 }, { expiresAt: NOW + 60 }],
    ['the same as text', { expires_in: '60.9' }, { expiresAt: NOW + 60 }],
    ['expires_in missing: unknown', { expires_in: undefined }, { expiresAt: undefined }],
    ['scope missing: as requested', { scope: undefined }, { scope: 'openid' }],
    ['scope empty: nothing granted', { scope: '' }, { scope: '' }],
    ['absent members as null', { refresh_token: null, id_token: null }, { idToken: undefined }],
    ['expires_in 0: unknown', { expires_in: 0 }, { expiresAt: undefined }],
    ['expires_in 0 as text: unknown', { expires_in: '0' }, { expiresAt: undefined }],
    ['expires_in under a second: unknown', { expires_in: 0.5 }, { expiresAt: undefined }],
    ['expires_in null: unknown', { expires_in: null }, { expiresAt: undefined }],
    ['scope null: as requested', { scope: null }, { scope: 'openid' }],
    ['scope a list', { scope: ['openid', 'read'] }, { scope: 'openid read' }],
    ['scope a list of one text', { scope: ['openid read'] }, { scope: 'openid read' }],
    ['scope a long list', { scope: Array(150_000).fill('') }, { scope: '' }],
    ['scope an empty list: nothing granted', { scope: [] }, { scope: '' }],
    ['expires_in without end: unknown', { expires_in: 2 ** 63 }, { expiresAt: undefined }],
    ['the same as text: unknown', { expires_in: `${2n ** 63n - 1n}` }, { expiresAt: undefined }],
    ['expires_in empty: unknown', { expires_in: '' }, { expiresAt: undefined }],
    ['refresh_token empty: none', { refresh_token: '' }, { refreshToken: undefined }],
    ['id_token empty: none', { id_token: '' }, { idToken: undefined }],
    ['an error that is null', { error: null }, {}],
    ['an error that is empty', { error: '' }, {}],
  ])('%s: accepted', (_name, change, result) => {
    expect(judge({ ...good, ...change })).toMatchObject(result);
  });

  test.each([
    ['token_type a list', { token_type: ['Bearer'] }],
    ['token_type of another kind', { token_type: 'DPoP' }],
    ['access_token missing', { access_token: undefined }],
    ['access_token empty', { access_token: '' }],
    ['access_token a number', { access_token: 1 }],
    ['access_token that ends a header', { access_token: 'a\r\nX: y' }],
    ['access_token null', { access_token: null }],
    ['id_token an object', { id_token: {} }],
    ['expires_in no number', { expires_in: 'soon' }],
    ['expires_in negative', { expires_in: -1 }],
    ['expires_in with two points', { expires_in: '1.2.3' }],
    ['expires_in negative as text', { expires_in: '-1' }],
    ['expires_in an object', { expires_in: {} }],
    ['scope an object', { scope: { read: true } }],
    ['scope a list with a number', { scope: ['read', 1] }],
    ['scope a list in a list', { scope: [['read']] }],
    ['scope a list with a line end', { scope: ['read\r\nX: y'] }],
    ['scope with a line end', { scope: 'read\r\nX: y' }],
    ['scope with a quote (RFC 6749 §3.3)', { scope: 'read"' }],
    ['scope with a backslash', { scope: 'read\\' }],
    ['scope beyond ASCII', { scope: 'réad' }],
  ])('%s: refused', (_name, change) => {
    expect(errorOf(() => judge({ ...good, ...change })).code).toBe('ERR_TOKEN_RESPONSE');
  });

  test('token_type missing where the token must be bound: refused', () => {
    const body = { ...good, token_type: undefined };
    const answer = { status: 200, headers: {}, body };
    const { code } = errorOf(() => judgeTokenResponse(answer, 'openid', NOW, true));
    expect(code).toBe('ERR_TOKEN_RESPONSE');
  });

  test('the status 201 is accepted, too', () => {
    expect(judge(good, 201)).toMatchObject({ accessToken: 'a' });
  });

  test.each([undefined, null, [], 'text', 1])('a body %j: refused', (body) => {
    expect(errorOf(() => judge(body)).code).toBe('ERR_TOKEN_RESPONSE');
  });
});

describe('error response (RFC 6749 §5.2)', () => {
  async function refusalOf(
    status: number,
    body: unknown,
    change: Partial<ClientCredentials> = {},
  ): Promise<TokenRequestRefused> {
    nock('https://issuer.example')
      .post('/oauth/token')
      .reply(status, body as nock.Body);
    const credentials = { ...client, ...change } as ClientCredentials;
    const answer = await postToEndpoint({ ...request, credentials });
    return errorOf(() => judgeTokenResponse(answer, 'read', NOW)) as TokenRequestRefused;
  }

  test('the description is for the log, without control characters', async () => {
    const error_description = 'the callback http://a.example/b\r\nis not registered';
    const error = await refusalOf(400, { error: 'invalid_request', error_description });
    expect(error).toBeInstanceOf(TokenRequestRefused);
    expect(error).toMatchObject({
      error: 'invalid_request',
      status: 502,
      detail: 'invalid_request: the callback http://a.example/b is not registered',
      summary: 'invalid_request',
    });
  });

  test.each<[string, Partial<ClientCredentials>]>([
    ['client_secret_basic', {}],
    ['client_secret_post', { clientAuthMethod: 'client_secret_post' }],
  ])('a description that repeats the request has no secret, with %s', async (_name, change) => {
    const basic = Buffer.from('client%3A1:s%C3%A9cret+%26%2B%25').toString('base64');
    const secrets = ['the-code', 'verifier', 'sécret &+%', 's%C3%A9cret+%26%2B%25', basic];
    const others = ['x'.repeat(43), `eyJ${'a'.repeat(40)}`];
    const error_description = `got ${[...secrets, ...others].join(', ')}.`;
    const error = await refusalOf(400, { error: 'invalid_grant', error_description }, change);
    const shown = inspect(error, { depth: 9 });
    // Only the header of client_secret_basic has it.
    const sent = secrets.filter(
      (secret) => secret !== basic || change.clientAuthMethod === undefined,
    );
    expect([...sent, ...others].filter((secret) => shown.includes(secret))).toEqual([]);
    expect(error.detail).toMatch(/^invalid_grant: got …(, \S+)*\.$/);
  });

  test('a message for onMessage has the same description, also of a proof', async () => {
    const proofs = new Dpop(seconds).proofsOf(createSessionKey());
    nock('https://issuer.example')
      .post('/oauth/token')
      .reply(400, function repeat(_path, form) {
        const error_description = `got ${this.req.headers.dpop} and ${form}, the-code`;
        return { error: 'invalid_dpop_proof', error_description };
      });
    const messages: ClientMessage[] = [];
    const options = { onMessage: (message: ClientMessage) => messages.push(message), now: () => 5 };
    await postToEndpoint({
      ...request,
      proofs,
      report: (end, message) => reportMessage(options, 'login-1', `token_${end}`, message),
    });
    expect(messages.map(({ step }) => step)).toEqual(['token_request', 'token_response']);
    expect(messages[1]?.parameters.error_description).toContain('got …');
    expect(JSON.stringify(messages)).not.toMatch(/the-code|verifier&|eyJ/);
  });

  test.each([
    [401, 'invalid_client', true],
    [400, 'invalid_client', true],
    // Auth0
    [401, 'access_denied', true],
    [403, 'access_denied', false],
    [400, 'invalid_grant', false],
  ])('%i %s says whether the secret is wrong: %p', async (status, error, isClient) => {
    const { detail } = await refusalOf(status, { error, error_description: 'Unauthorized' });
    const hint = ': the issuer does not accept this clientID with this secret or key';
    expect(detail).toBe(`${error}: Unauthorized${isClient ? hint : ''}`);
  });

  test.each([null, 1, ['x'], {}])('a description %j is none', async (error_description) => {
    const { detail } = await refusalOf(400, { error: 'invalid_grant', error_description });
    expect(detail).toBe('invalid_grant');
  });

  test('an error with the status 200 is one too', () => {
    const error = errorOf(() => judge({ error: 'invalid_grant', error_description: 'used' }));
    expect(error).toMatchObject({ code: 'ERR_TOKEN_REQUEST_REFUSED', error: 'invalid_grant' });
  });

  test.each([
    [400, 'temporarily_unavailable'],
    [400, 'server_error'],
    [200, 'temporarily_unavailable'],
  ])('%i with %s is transient', (status, error) => {
    expect(errorOf(() => judge({ error }, status))).toMatchObject({
      code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE',
      status: 503,
    });
  });

  test.each([429, 500, 502, 503])('%i is transient, whatever the body says', (status) => {
    const error = errorOf(() => judge({ error: 'invalid_grant' }, status));
    expect(error).toMatchObject({ code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', status: 503 });
  });

  test.each([
    [429, { 'retry-after': '9' }, 9],
    [503, { 'retry-after': '9' }, 9],
    [429, { 'x-ratelimit-reset': String(NOW + 9) }, 9],
    // Auth0 sends it with every answer.
    [500, { 'x-ratelimit-reset': String(NOW + 9) }, undefined],
    [429, {}, undefined],
  ])('%i with %j asks to be left alone for %p seconds', (status, headers, retryAfter) => {
    const error = errorOf(() => judge({}, status, headers));
    expect(error).toMatchObject({ retryAfter, headers: { 'Retry-After': `${retryAfter ?? 2}` } });
  });

  test.each([
    [302, good],
    [202, good],
    [404, '<html>'],
    [400, {}],
    [400, { error: 'x'.repeat(41) }],
    [400, { error: 'code-abc-123 is unknown' }],
    [400, { error: '' }],
    [400, { error: null }],
  ])('%i without an error is unusable', (status, body) => {
    expect(errorOf(() => judge(body, status)).code).toBe('ERR_TOKEN_RESPONSE');
  });
});

describe('how long a server wants to be left alone (RFC 9110 §10.2.3)', () => {
  const date = (seconds: number) => new Date((NOW + seconds) * 1000).toUTCString();

  test.each([
    ['nothing', {}, undefined],
    ['seconds', { 'retry-after': '17' }, 17],
    ['no seconds', { 'retry-after': '0' }, 1],
    ['too many seconds', { 'retry-after': '100000' }, 300],
    ['a date', { 'retry-after': date(30) }, 30],
    ['a date of RFC 850', { 'retry-after': 'Tuesday, 14-Nov-23 22:13:50 GMT' }, 30],
    ['a date of asctime', { 'retry-after': 'Tue Nov 14 22:13:50 2023' }, 30],
    ['a date in another zone', { 'retry-after': 'Tue, 14 Nov 2023 22:13:50 CET' }, undefined],
    ['a date that has passed', { 'retry-after': date(-30) }, 1],
    ['a date far ahead', { 'retry-after': date(30_000) }, 300],
    ['a date that is none', { 'retry-after': 'Xxx, 99 Xxx 2023 99:99:99 GMT' }, undefined],
    ['a fraction', { 'retry-after': '1.5' }, undefined],
    ['a minus', { 'retry-after': '-5' }, undefined],
    ['a number in another form', { 'retry-after': '1e2' }, undefined],
    ['reset', { 'x-ratelimit-reset': String(NOW + 20) }, 20],
    ['reset that has passed', { 'x-ratelimit-reset': String(NOW - 20) }, 1],
    ['reset in milliseconds', { 'x-ratelimit-reset': String(NOW * 1000) }, 300],
    ['reset that is no time', { 'x-ratelimit-reset': 'soon' }, undefined],
    ['both', { 'retry-after': '5', 'x-ratelimit-reset': String(NOW + 20) }, 5],
    ['one that can be read', { 'retry-after': 'x', 'x-ratelimit-reset': String(NOW + 20) }, 20],
  ])('%s', (_name, headers, seconds) => {
    expect(retryAfter(headers, NOW)).toBe(seconds);
  });

  test('whatever stands there: 1 to 300 whole seconds, or nothing', () => {
    const text = fc.oneof(fc.string(), fc.integer().map(String), fc.date().map(String));
    const headers = fc.record({ 'retry-after': text, 'x-ratelimit-reset': text });
    fc.assert(
      fc.property(headers, (given) => {
        const seconds = retryAfter(given, NOW) ?? 1;
        expect(Number.isInteger(seconds) && seconds >= 1 && seconds <= 300).toBe(true);
      }),
    );
  });
});
