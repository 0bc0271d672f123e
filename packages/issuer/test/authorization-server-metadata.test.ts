import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { proves } from '../../../test/support/proves.ts';
import {
  checkMetadata,
  fetchMetadata,
  metadataURLs,
} from '../src/authorization-server-metadata.ts';
import type { IssuerError } from '../src/errors.ts';
import { createHttpClient } from '../src/http-client.ts';
import { fetchJson } from '../src/kept-fresh.ts';

const invalidMetadata = expect.objectContaining({ code: 'ERR_INVALID_METADATA' });
const issuer = 'https://tenant.example.com/';
const good = { issuer, jwks_uri: 'https://tenant.example.com/jwks.json' };

test.each([
  [
    'https://a.example',
    'https://a.example/.well-known/openid-configuration',
    'https://a.example/.well-known/oauth-authorization-server',
  ],
  [
    'https://a.example/',
    'https://a.example/.well-known/openid-configuration',
    'https://a.example/.well-known/oauth-authorization-server',
  ],
  [
    'https://a.example/realms/one/',
    'https://a.example/realms/one/.well-known/openid-configuration',
    'https://a.example/.well-known/oauth-authorization-server/realms/one',
  ],
])(
  'the metadata of %s is at the place of OpenID Connect Discovery §4, then of RFC 8414 §3.1',
  (value, ...places) => {
    expect(metadataURLs(new URL(value))).toEqual(places);
  },
);

describe('checkMetadata', () => {
  test('gives the document out as it came', () => {
    expect(checkMetadata({ issuerBaseURL: issuer }, { ...good, extra: 1 })).toEqual({
      ...good,
      extra: 1,
    });
  });

  test.each([
    ['https://tenant.example.com', issuer],
    [issuer, 'https://tenant.example.com'],
  ])('%s may call itself %s: only the slash at the end differs', (configured, declared) => {
    expect(checkMetadata({ issuerBaseURL: configured }, { ...good, issuer: declared }).issuer).toBe(
      declared,
    );
  });

  test.each<[string, unknown]>([
    ['null', null],
    ['a list', [good]],
    ['a string', 'https://tenant.example.com/'],
    ['empty', {}],
    ['of another issuer (RFC 8414 §3.3)', { ...good, issuer: 'https://evil.example/' }],
    ['of an issuer in other case', { ...good, issuer: 'https://TENANT.example.com/' }],
    ['of an issuer that is a list', { ...good, issuer: [issuer] }],
    ['without a key set', { issuer }],
    ['with a key set that is no string', { issuer, jwks_uri: 5 }],
    ['with a relative key set', { issuer, jwks_uri: '/jwks.json' }],
    ['with a key set over http', { issuer, jwks_uri: 'http://tenant.example.com/jwks.json' }],
    ['with a key set on our loopback', { issuer, jwks_uri: 'http://127.0.0.1:9200/' }],
    ['with a key set in a file', { issuer, jwks_uri: 'file:///etc/passwd' }],
    ['with credentials in a URL', { issuer, jwks_uri: 'https://a:b@tenant.example.com/jwks' }],
    ['with http to authorize', { ...good, authorization_endpoint: 'http://tenant.example.com/a' }],
    ['with http for tokens', { ...good, token_endpoint: 'http://tenant.example.com/t' }],
    ['with null for tokens', { ...good, token_endpoint: null }],
    [
      'with two lines for tokens',
      { ...good, token_endpoint: 'https://tenant.example.com/t\nsigned in' },
    ],
    ['with text from right to left', { ...good, userinfo_endpoint: `${issuer}\u202eofni` }],
    ['with a script to log out', { ...good, end_session_endpoint: 'javascript:alert(1)' }],
    ['with a word as list', { ...good, code_challenge_methods_supported: 'S256' }],
    ['with a list of numbers', { ...good, id_token_signing_alg_values_supported: [1] }],
    ['with a word as boolean', { ...good, authorization_response_iss_parameter_supported: 'true' }],
  ])('metadata that is %s is not believed', (_, document) => {
    proves('RFC 6750 §5.3 TLS', 'RFC 9700 §2.6 metadata', 'ASVS 9.1.3', 'FAPI 2.0 §5.4.2');
    expect(() => checkMetadata({ issuerBaseURL: issuer }, document)).toThrow(invalidMetadata);
  });

  test('an issuer on loopback may name http on loopback, and nothing on http elsewhere', () => {
    const local = 'http://localhost:3002/';
    const document = { issuer: local, jwks_uri: 'http://localhost:3002/jwks.json' };
    expect(checkMetadata({ issuerBaseURL: local }, document)).toEqual(document);
    const elsewhere = { ...document, jwks_uri: 'http://example.com/jwks.json' };
    expect(() => checkMetadata({ issuerBaseURL: local }, elsewhere)).toThrow(invalidMetadata);
  });

  test('a made-up issuer of any size makes a short detail', () => {
    expect(() =>
      checkMetadata({ issuerBaseURL: issuer }, { ...good, issuer: 'x'.repeat(100_000) }),
    ).toThrow(expect.objectContaining({ detail: expect.stringMatching(/^.{1,400}$/) }));
  });
});

describe('fetchMetadata', () => {
  const http = createHttpClient({ timeout: 1000 });
  const fetch = (url: string) => fetchJson(url, http);
  const openid = '/.well-known/openid-configuration';
  const oauth = '/.well-known/oauth-authorization-server';

  beforeAll(() => nock.disableNetConnect());
  afterEach(() => {
    expect(nock.pendingMocks()).toEqual([]);
    nock.cleanAll();
  });
  afterAll(() => {
    nock.enableNetConnect();
    nock.restore();
  });

  test('asks OpenID discovery first, and no more', async () => {
    nock(issuer).get(openid).reply(200, good, { 'cache-control': 'max-age=90' });
    expect(await fetchMetadata({ issuerBaseURL: issuer }, fetch)).toEqual({
      value: good,
      maxAge: 90_000,
    });
  });

  test.each([404, 401, 410, 302])('after a %s asks at the place of RFC 8414 §3', async (status) => {
    nock(issuer).get(openid).reply(status, 'no', { location: 'https://evil.example/' });
    nock(issuer).get(oauth).reply(200, good);
    expect((await fetchMetadata({ issuerBaseURL: issuer }, fetch)).value).toEqual(good);
  });

  test('puts the path of the issuer behind the well-known part (RFC 8414 §3.1)', async () => {
    const base = 'https://tenant.example.com/realms/one';
    nock(issuer).get(`/realms/one${openid}`).reply(404);
    nock(issuer)
      .get(`${oauth}/realms/one`)
      .reply(200, { ...good, issuer: base });
    expect((await fetchMetadata({ issuerBaseURL: base }, fetch)).value.issuer).toBe(base);
  });

  const otherIssuer = { ...good, issuer: 'https://evil.example/' };

  test.each<[string, number, nock.Body, nock.ReplyHeaders?]>([
    ['404', 404, ''],
    ['500', 500, ''],
    ['a redirect', 302, '', { location: issuer }],
    ['HTML', 200, '<!doctype html>'],
    ['nothing', 200, ''],
    ['JSON that is no metadata', 200, { error: 'not found' }],
    ['metadata of another issuer', 200, otherIssuer],
    ['metadata without keys', 200, { issuer }],
    ['an unknown coding', 200, 'x', { 'content-encoding': 'zstd-2' }],
    ['a huge body', 200, ' '.repeat(600 * 1024)],
  ])('the second place counts when the first answers with %s', async (_, ...answer) => {
    nock(issuer)
      .get(openid)
      .reply(...answer);
    nock(issuer).get(oauth).reply(200, good);
    expect((await fetchMetadata({ issuerBaseURL: issuer }, fetch)).value).toEqual(good);
    nock(issuer)
      .get(openid)
      .reply(...answer);
    nock(issuer).get(oauth).reply(503);
    const error: IssuerError = await fetchMetadata({ issuerBaseURL: issuer }, fetch).catch(
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ name: 'IssuerError', status: 503 });
    expect(error.detail).toMatch(/^GET \S+openid-configuration: .+; GET \S+-server: 503$/);
  });

  test('a server that does not answer is not asked twice', async () => {
    nock(issuer)
      .get(openid)
      .replyWithError(Object.assign(new Error(), { code: 'ECONNREFUSED' }));
    await expect(fetchMetadata({ issuerBaseURL: issuer }, fetch)).rejects.toMatchObject({
      code: 'ERR_ISSUER_UNAVAILABLE',
      detail: `GET https://tenant.example.com${openid}: ECONNREFUSED`,
    });
  });

  test('without an answer at either place it is unavailable, and the detail has both', async () => {
    nock(issuer).get(openid).reply(404);
    nock(issuer).get(oauth).reply(403);
    const failure = fetchMetadata({ issuerBaseURL: issuer }, fetch);
    await expect(failure).rejects.toMatchObject({ code: 'ERR_ISSUER_UNAVAILABLE' });
    await expect(failure).rejects.toMatchObject({
      detail: `GET https://tenant.example.com${openid}: 404; GET https://tenant.example.com${oauth}: 403`,
    });
  });

  test("another issuer's metadata is refused at both places", async () => {
    proves('RFC 9207 §4');
    nock(issuer).get(openid).reply(200, otherIssuer);
    nock(issuer).get(oauth).reply(404);
    await expect(fetchMetadata({ issuerBaseURL: issuer }, fetch)).rejects.toEqual(invalidMetadata);
    nock(issuer).get(openid).reply(404);
    nock(issuer).get(oauth).reply(200, otherIssuer);
    await expect(fetchMetadata({ issuerBaseURL: issuer }, fetch)).rejects.toEqual(invalidMetadata);
  });
});
