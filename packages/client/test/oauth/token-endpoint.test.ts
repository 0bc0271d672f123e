import { inspect } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHttpClient } from '@koa-oauth/issuer';
import nock from 'nock';
import type { ClientCredentials } from '../../src/oauth/client-authentication.ts';
import {
  requestRevocation,
  requestTokensByCode,
  requestTokensByRefresh,
} from '../../src/oauth/token-endpoint.ts';

const ENDPOINT = { url: 'https://issuer.example/oauth/token', issuer: 'https://issuer.example/' };
const client: ClientCredentials = {
  clientID: 'client:1',
  clientSecret: 'sécret &+%',
  clientAuthMethod: 'client_secret_basic',
};
const grant = { code: 'the-code', redirectURI: 'https://app.example/cb', codeVerifier: 'verifier' };
const limits = { http: createHttpClient({ timeout: 500 }), now: Date.now };

beforeEach(() => nock.disableNetConnect());
afterEach(() => nock.cleanAll());

// It replaces node:http for all test files of a process until it is told to stop.
afterAll(() => nock.restore());

describe('G12: client authentication (RFC 6749 §2.3.1)', () => {
  test('client_secret_basic encodes both before it joins them, and the form has neither', async () => {
    const credentials = Buffer.from('client%3A1:s%C3%A9cret+%26%2B%25').toString('base64');
    nock('https://issuer.example')
      .post('/oauth/token', {
        grant_type: 'authorization_code',
        code: 'the-code',
        redirect_uri: 'https://app.example/cb',
        code_verifier: 'verifier',
      })
      .matchHeader('authorization', `Basic ${credentials}`)
      .reply(200, { ok: true });
    const answer = await requestTokensByCode(ENDPOINT, client, grant, limits);
    expect(answer).toMatchObject({ status: 200, body: { ok: true } });
  });

  test('client_secret_post puts both into the form, and no header', async () => {
    nock('https://issuer.example', { badheaders: ['authorization'] })
      .post('/oauth/token', {
        grant_type: 'refresh_token',
        refresh_token: 'r',
        client_id: 'client:1',
        client_secret: 'sécret &+%',
      })
      .reply(200, {});
    const post: ClientCredentials = { ...client, clientAuthMethod: 'client_secret_post' };
    expect(
      (await requestTokensByRefresh(ENDPOINT, post, { refreshToken: 'r' }, limits)).status,
    ).toBe(200);
  });
});

test('a refresh may name a scope and an audience, and nothing else in place of the grant', async () => {
  const form = { grant_type: 'refresh_token', refresh_token: 'r', scope: 'read', audience: 'api' };
  nock('https://issuer.example').post('/oauth/token', form).reply(200, {}, { 'Retry-After': '5' });
  const more = { scope: 'read', audience: 'api', grant_type: 'other' };
  const grant = { ...more, refreshToken: 'r' };
  const { headers } = await requestTokensByRefresh(ENDPOINT, client, grant, limits);
  expect(headers['retry-after']).toBe('5');
});

test('revocation names the kind of token (RFC 7009 §2.1)', async () => {
  nock('https://issuer.example')
    .post('/oauth/token', { token: 'r', token_type_hint: 'refresh_token' })
    .reply(200);
  expect(await requestRevocation(ENDPOINT, client, 'r', limits)).toMatchObject({
    status: 200,
    body: undefined,
  });
});

test('follows no redirect', async () => {
  nock('https://issuer.example')
    .post('/oauth/token')
    .reply(307, '', { Location: 'https://evil.example/' });
  expect((await requestTokensByCode(ENDPOINT, client, grant, limits)).status).toBe(307);
});

test.each([500, 503])('repeats nothing after a %i', async (status) => {
  const scope = nock('https://issuer.example').post('/oauth/token').reply(status);
  expect((await requestTokensByCode(ENDPOINT, client, grant, limits)).status).toBe(status);
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
    const error = await requestTokensByCode(ENDPOINT, client, grant, limits).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_TOKEN_ENDPOINT_UNAVAILABLE', status: 503 });
    const everything = inspect(error, { depth: 20, showHidden: true });
    for (const secret of ['the-code', 'verifier', 'cret', 'Basic']) {
      expect(everything).not.toContain(secret);
    }
  });
});
