import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type ClientCredentials, checkClientOptions, createHttpClient } from '@koa-oauth/issuer';
import fc from 'fast-check';
import nock from 'nock';
import { OidcError } from '../../src/errors.ts';
import {
  judgePushedAuthorization,
  requestPushedAuthorization,
} from '../../src/oauth/pushed-authorization-request.ts';

const NOW = 1_700_000_000;
const metadata = {
  issuer: 'https://issuer.example/',
  jwks_uri: 'https://issuer.example/jwks',
  pushed_authorization_request_endpoint: 'https://issuer.example/oauth/par',
};
const client: ClientCredentials = {
  clientID: 'client-1',
  clientSecret: 'sesame',
  clientAuthMethod: 'client_secret_post',
};
const parameters = { client_id: 'client-1', scope: 'openid', state: 'the-state' };
const options = { parameters, http: createHttpClient(), seconds: () => NOW };

beforeEach(() => nock.disableNetConnect());
afterEach(() => {
  // The timers of late answers.
  nock.abortPendingRequests();
  nock.cleanAll();
});
afterAll(() => nock.restore());

describe('sending (RFC 9126 §2.1)', () => {
  const push = (
    credentials: ClientCredentials = client,
    to: typeof metadata = metadata,
    http = options.http,
  ) => requestPushedAuthorization(to, { ...options, http, credentials });

  test('the request and the client’s credentials go into one form', async () => {
    nock('https://issuer.example')
      .post('/oauth/par', { ...parameters, client_secret: 'sesame' })
      .reply(201, { request_uri: 'urn:x', expires_in: 60 });
    expect((await push()).status).toBe(201);
  });

  test('private_key_jwt sends an assertion for the issuer', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { credentials } = checkClientOptions({
      clientID: 'client-1',
      clientAssertionSigningKey: privateKey,
    });
    let audience: unknown;
    nock('https://issuer.example')
      .post('/oauth/par', ({ client_assertion }) => {
        const [, payload = ''] = client_assertion.split('.');
        audience = JSON.parse(Buffer.from(payload, 'base64url').toString()).aud;
        return true;
      })
      .reply(201, {});
    await push(credentials);
    expect(audience).toBe('https://issuer.example/');
  });

  test('without the endpoint nothing is sent', async () => {
    const none = { ...metadata, pushed_authorization_request_endpoint: undefined as never };
    await expect(push(client, none)).rejects.toMatchObject({
      code: 'ERR_ISSUER_UNSUITABLE',
      status: 502,
    });
  });

  test.each<[string, (i: nock.Interceptor) => void]>([
    ['no answer', (i) => i.replyWithError('reset')],
    ['one that takes too long', (i) => i.delay(1000).reply(201, {})],
  ])('%s is a 503 that holds nothing of the request', async (_name, fault) => {
    fault(nock('https://issuer.example').post('/oauth/par'));
    const error = await push(client, metadata, createHttpClient({ timeout: 100 })).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_AUTHORIZATION_UNAVAILABLE', status: 503 });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/sesame|the-state/);
  });
});

describe('judging (RFC 9126 §2.2, §2.3)', () => {
  const judge = (status: number, body: unknown, headers = {}) =>
    judgePushedAuthorization({ status, headers, body }, NOW);
  const good = { request_uri: 'urn:ietf:params:oauth:request_uri:6esc_11ACC', expires_in: 60 };

  test('a good answer is its request_uri', () => {
    expect(judge(201, good)).toBe(good.request_uri);
    expect(judge(200, good)).toBe(good.request_uri);
    expect(judge(201, { ...good, more: [], error: null })).toBe(good.request_uri);
  });

  test.each([undefined, null, 0, '60'])('expires_in %j: not used', (expires_in) => {
    expect(judge(201, { ...good, expires_in })).toBe(good.request_uri);
  });

  test.each<[string, number, unknown, string]>([
    ['202', 202, good, 'it answered 202'],
    ['a redirect', 303, undefined, 'it answered 303'],
    ['a refusal', 400, { error: 'invalid_request' }, 'invalid_request'],
    ['a refusal that is none', 400, { error: 'the secret is sesame' }, 'it answered 400'],
    ['no body', 201, undefined, '"request_uri"'],
    ['a list', 201, [good], '"request_uri"'],
    ['no request_uri', 201, { expires_in: 60 }, '"request_uri"'],
    ['a request_uri that is none', 201, { ...good, request_uri: 'a\r\nb' }, '"request_uri"'],
    ['one without end', 201, { ...good, request_uri: 'u'.repeat(2001) }, '"request_uri"'],
    ['a request_uri that is null', 201, { ...good, request_uri: null }, '"request_uri"'],
    ['a refusal that is null', 400, { error: null }, 'it answered 400'],
  ])('%s: 502', (_name, status, body, detail) => {
    let error: unknown;
    try {
      judge(status, body);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(OidcError);
    expect(error).toMatchObject({ code: 'ERR_PUSHED_REQUEST', status: 502 });
    expect((error as OidcError).detail).toContain(detail);
  });

  test('whatever it is, it is judged', () => {
    const member = fc.oneof(fc.string(), fc.integer(), fc.constant(undefined), fc.jsonValue());
    const body = fc.oneof(
      fc.record({ request_uri: member, expires_in: member, error: member }),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), body, (status, answer) => {
        try {
          expect(judge(status, answer)).toMatch(/^\S+$/);
        } catch (error) {
          expect(error).toBeInstanceOf(OidcError);
          expect((error as OidcError).status).toBeGreaterThanOrEqual(500);
        }
      }),
    );
  });

  test.each(['temporarily_unavailable', 'server_error'])('400 with %s: 503', (error) => {
    expect(() => judge(400, { error })).toThrow(
      expect.objectContaining({ code: 'ERR_AUTHORIZATION_UNAVAILABLE', status: 503 }),
    );
  });

  test.each([429, 500, 503])('%i: 503, with what it says of when to come again', (status) => {
    expect(() => judge(status, {}, { 'retry-after': '7' })).toThrow(
      expect.objectContaining({
        code: 'ERR_AUTHORIZATION_UNAVAILABLE',
        status: 503,
        headers: { 'Retry-After': '7' },
      }),
    );
  });
});
