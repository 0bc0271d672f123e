import { createHash, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHttpClient } from '@koa-oauth/issuer';
import { calculateJwkThumbprint, EmbeddedJWK, type JWTVerifyResult, jwtVerify } from 'jose';
import nock from 'nock';
import { proves } from '../../../../test/support/proves.ts';
import { ApiClient } from '../../src/api/api.ts';
import type { ClientMessage } from '../../src/messages.ts';
import { parseChallenge } from '../../src/oauth/challenge.ts';
import {
  createSessionKey,
  Dpop,
  type Proofs,
  thumbprintOf,
  withoutProofs,
} from '../../src/oauth/dpop.ts';
import { memoryStore } from '../../src/session/stores/memory.ts';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { codeOf, startWebApp, type WebApp } from '../support/web-app.ts';

const hash = (text: string) => createHash('sha256').update(text).digest('base64url');

/** Verifies a proof with another library, and returns its header and claims. */
const verified = (proof = ''): Promise<JWTVerifyResult> =>
  jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256'], maxTokenAge: 5 });

async function claimsOf(proof: string | undefined): Promise<Record<string, unknown>> {
  return (await verified(proof)).payload;
}

describe('a proof', () => {
  const key = createSessionKey();
  const proofs = new Dpop(() => Math.floor(Date.now() / 1000)).proofsOf(key) as Proofs;

  test('has method, address without query, time, and the hash of the token (RFC 9449 §4.2)', async () => {
    const url = 'https://api.example:8443/a%2Fb?q=1#f';
    const { payload, protectedHeader } = await verified(
      proofs.create({ method: 'PUT', url, accessToken: 'token-1', nonce: 'n' }),
    );
    expect(payload).toEqual({
      jti: expect.stringMatching(/^[\w-]{36}$/),
      htm: 'PUT',
      htu: 'https://api.example:8443/a%2Fb',
      iat: expect.any(Number),
      ath: hash('token-1'),
      nonce: 'n',
    });
    const { d, ...publicKey } = key;
    expect(protectedHeader).toEqual({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicKey });
    for (const shown of [JSON.stringify(protectedHeader), inspect(proofs, { depth: 9 })]) {
      expect(shown).not.toContain(d);
    }
    expect(proofs.thumbprint).toBe(await calculateJwkThumbprint(publicKey));
  });

  test('is another one each time, under a key that no other session has', async () => {
    const request = { method: 'GET', url: 'https://api.example/' };
    const ids = await Promise.all([1, 2].map(() => claimsOf(proofs.create(request))));
    expect(ids[0]?.jti).not.toBe(ids[1]?.jti);
    expect(thumbprintOf(createSessionKey())).not.toBe(proofs.thumbprint);
  });
});

describe('an API that binds tokens', () => {
  interface Call {
    readonly method: string | undefined;
    readonly headers: IncomingHttpHeaders;
  }
  let calls: Call[];
  let answer: (call: Call, response: ServerResponse) => void;
  const server = createServer((request, response) => {
    const { method, headers } = request;
    calls.push({ method, headers });
    request.resume().on('end', () => answer({ method, headers }, response));
  });
  const key = createSessionKey();

  beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'));
  beforeEach(() => {
    calls = [];
    answer = (_call, response) => response.end('{}');
  });
  afterAll(async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  });

  function api({
    dpop = new Dpop(() => Math.floor(Date.now() / 1000)),
    tokens = ['token-1'],
  } = {}) {
    const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const rest = [...tokens];
    return new ApiClient({ baseURL, http: createHttpClient(), now: Date.now }).bind(
      async () => (rest.length > 1 ? (rest.shift() as string) : (rest[0] as string)),
      dpop.proofsOf(key),
    );
  }

  const refuse = (response: ServerResponse, error: string, nonce?: string) =>
    response
      .writeHead(401, {
        'www-authenticate': `Bearer realm="r", DPoP error="${error}", algs="ES256"`,
        ...(nonce && { 'dpop-nonce': nonce }),
      })
      .end();

  const noncesSent = () =>
    Promise.all(calls.map(async ({ headers }) => (await claimsOf(`${headers.dpop}`)).nonce));

  test('gets the scheme DPoP and a proof for just that request', async () => {
    proves('FAPI 2.0 §5.3.3.1-3');
    await api().post('orders?x', { json: { item: 7 }, searchParams: { page: 2 } });
    const { headers } = calls[0] as Call;
    expect(headers.authorization).toBe('DPoP token-1');
    const { htm, htu, ath } = await claimsOf(`${headers.dpop}`);
    expect([htm, ath]).toEqual(['POST', hash('token-1')]);
    expect(htu).toMatch(/\/v1\/orders$/);
  });

  test('that demands a nonce gets the request once more, and the next ones have it', async () => {
    proves('FAPI 2.0 §5.3.3.1-8');
    answer = ({ headers }, response) => {
      const { nonce } = JSON.parse(
        Buffer.from(`${headers.dpop}`.split('.')[1] ?? '', 'base64url').toString(),
      );
      if (nonce === 'nonce-1') response.end('{}');
      else refuse(response, 'use_dpop_nonce', 'nonce-1');
    };
    const bound = api();
    await bound.post('orders', { json: {} });
    await bound.get('orders');
    expect(await noncesSent()).toEqual([undefined, 'nonce-1', 'nonce-1']);
  });

  test('that gives a new nonce with a good answer gets that one next', async () => {
    answer = (_call, response) => response.setHeader('dpop-nonce', 'nonce-9').end('{}');
    const bound = api();
    await bound.get('orders');
    await bound.get('orders');
    expect(await noncesSent()).toEqual([undefined, 'nonce-9']);
  });

  test.each<[string, number, (response: ServerResponse) => void]>([
    [
      'another nonce each time',
      2,
      (response) => refuse(response, 'use_dpop_nonce', `n-${calls.length}`),
    ],
    ['no nonce', 1, (response) => refuse(response, 'use_dpop_nonce')],
    ['a nonce that could end a header', 1, (r) => refuse(r, 'use_dpop_nonce', 'a"b')],
    ['a nonce of any length', 1, (r) => refuse(r, 'use_dpop_nonce', 'n'.repeat(1025))],
    ['invalid_dpop_proof', 1, (response) => refuse(response, 'invalid_dpop_proof', 'n')],
  ])('is not asked in a loop: %s', async (_name, requests, refusal) => {
    answer = (_call, response) => refusal(response);
    const call = api({ tokens: ['token-1', 'token-2'] }).post('orders', { json: {} });
    await expect(call).rejects.toMatchObject({ code: 'ERR_API_TOKEN_REFUSED', status: 401 });
    expect(calls).toHaveLength(requests);
  });

  test('that refuses the token gets the renewed one, with a proof of its own', async () => {
    answer = ({ headers }, response) => {
      if (headers.authorization === 'DPoP token-2') response.end('{}');
      else refuse(response, 'invalid_token');
    };
    await api({ tokens: ['token-1', 'token-2'] }).get('orders');
    const hashes = calls.map(async ({ headers }) => (await claimsOf(`${headers.dpop}`)).ath);
    expect(await Promise.all(hashes)).toEqual([hash('token-1'), hash('token-2')]);
  });

  test('whose page repeats the request does not show the proof to the app', async () => {
    answer = ({ headers }, response) => {
      response.writeHead(500, { 'x-echo': `${headers.dpop}` }).end(JSON.stringify(headers));
    };
    const error = await api()
      .get('orders')
      .catch((reason) => reason);
    const text = JSON.stringify(error.response);
    expect(text).toContain('[proof]');
    expect(text).not.toContain(`${calls[0]?.headers.dpop}`.split('.')[1]);
    expect(text).not.toContain('token-1');
  });
});

test('a text of a hostile server that begins many proofs is cleaned in linear time', () => {
  const start = Buffer.from('{"typ":"dpop+jwt"').toString('base64url').slice(0, 20);
  const text = start.repeat(500_000);
  // The square of its length would take hours. This limit does not measure speed: it stops such a search.
  const cleaned = runInNewContext(
    'clean(text)',
    { clean: withoutProofs, text },
    { timeout: 60_000 },
  );
  expect(cleaned).toBe('[proof]');
}, 120_000);

test.each<[string, 'DPoP' | 'Bearer', string | undefined]>([
  ['DPoP algs="ES256", error="a"', 'DPoP', 'a'],
  ['Bearer error="b", DPoP error="d"', 'DPoP', 'd'],
  ['Bearer error="b", DPoP error="d"', 'Bearer', 'b'],
  ['DPoP algs="ES256", Bearer error="b"', 'DPoP', undefined],
  ['Bearer realm="x, DPoP error=y", DPoP error=d', 'DPoP', 'd'],
  ['DPoP algs="ES256", Digest realm="r", error="x"', 'DPoP', undefined],
])('of %s, the error of %s', (header, scheme, error) => {
  expect(parseChallenge(header, scheme)?.error).toBe(error);
});

describe('a sign-in', () => {
  const BOUND = { dpop_signing_alg_values_supported: ['RS256', 'ES256'] };
  const PAR = { pushed_authorization_request_endpoint: `${ISSUER}oauth/par` };
  let issuer: IssuerStandIn;
  let apps: WebApp[];

  beforeEach(() => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    issuer = standInForIssuer(BOUND);
    apps = [];
  });
  afterEach(async () => {
    for (const { served } of apps) await served.close();
    nock.cleanAll();
  });

  async function start(options: Parameters<typeof startWebApp>[1] = {}) {
    const app = await startWebApp(issuer, { dpop: true, ...options }, async (ctx, next) => {
      if (ctx.path === '/refresh') ctx.body = await ctx.oidc.refresh();
      else if (ctx.path === '/thumbprint') ctx.body = { jkt: ctx.oidc.proofs?.thumbprint };
      else await next();
    });
    apps.push(app);
    return app;
  }

  const thumbprintIn = async (proof: string | undefined) => {
    const { jwk } = (await verified(proof)).protectedHeader;
    return jwk && calculateJwkThumbprint(jwk);
  };

  test('names the key, and code, refresh and session have it (RFC 9449 §5, §10)', async () => {
    const { begin, grant, browser } = await start();
    const { request, callback } = await begin();
    grant({ nonce: request.get('nonce') }, { token_type: 'DPoP' });
    expect((await browser.get(callback())).status).toBe(302);
    grant({}, { token_type: 'dpop', access_token: 'access-2' });
    expect((await browser.get('/refresh')).status).toBe(200);

    const jkt = request.get('dpop_jkt');
    expect(jkt).toMatch(/^[\w-]{43}$/);
    expect(await (await browser.get('/thumbprint')).json()).toEqual({ jkt });
    const { tokenRequests } = issuer;
    expect(tokenRequests.map(({ form }) => form.get('grant_type'))).toEqual([
      'authorization_code',
      'refresh_token',
    ]);
    for (const { dpop } of tokenRequests) {
      expect(await thumbprintIn(dpop)).toBe(jkt);
      expect(await claimsOf(dpop)).toMatchObject({ htm: 'POST', htu: `${ISSUER}oauth/token` });
    }
    const second = await begin('/login', apps[0]?.served.browser());
    expect(second.request.get('dpop_jkt')).not.toBe(jkt);
  });

  test('pushes the thumbprint with a proof', async () => {
    nock.cleanAll();
    issuer = standInForIssuer({ ...BOUND, ...PAR });
    const { signIn } = await start({ pushedAuthorizationRequests: true });
    await signIn({}, { token_type: 'DPoP' });
    const [pushed] = issuer.pushedRequests;
    expect(await thumbprintIn(pushed?.dpop)).toBe(pushed?.form.get('dpop_jkt'));
    expect(await thumbprintIn(issuer.tokenRequests[0]?.dpop)).toBe(pushed?.form.get('dpop_jkt'));
  });

  test('gives userinfo a proof too', async () => {
    proves('FAPI 2.0 §5.3.3.1-3');
    nock.cleanAll();
    issuer = standInForIssuer({ ...BOUND, userinfo_endpoint: `${ISSUER}userinfo` });
    let proof: string | undefined;
    nock(ISSUER, { reqheaders: { authorization: 'DPoP access-1' } })
      .get('/userinfo')
      .reply(function answer() {
        proof = `${this.req.headers.dpop}`;
        return [200, { sub: 'user-1', name: 'Alice' }];
      });
    const { signIn, browser } = await start({ authorizationParams: { scope: 'openid profile' } });
    await signIn({}, { token_type: 'DPoP', scope: 'openid profile' });
    expect(await (await browser.get('/')).json()).toMatchObject({ user: { name: 'Alice' } });
    expect(await claimsOf(proof)).toMatchObject({
      htu: `${ISSUER}userinfo`,
      ath: hash('access-1'),
    });
  });

  test('meets the demand of a nonce once, with another client assertion', async () => {
    proves('FAPI 2.0 §5.3.3.1-8');
    const messages: ClientMessage[] = [];
    const { privateKey } = generateKeyPairSync('ed25519');
    const { begin, browser } = await start({
      onMessage: (message) => messages.push(message),
      clientSecret: undefined,
      clientAssertionSigningKey: privateKey,
    });
    const { request, callback } = await begin();
    const good = {
      access_token: 'access-1',
      token_type: 'DPoP',
      id_token: issuer.idToken({ nonce: request.get('nonce') }),
    };
    issuer.onTokenRequest = async ({ dpop }) =>
      (await claimsOf(dpop)).nonce === 'nonce-1'
        ? [200, good]
        : [400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'nonce-1' }];
    expect((await browser.get(callback())).status).toBe(302);
    const assertions = issuer.tokenRequests.map(({ form }) => form.get('client_assertion'));
    expect(new Set(assertions).size).toBe(2);
    expect(assertions).toHaveLength(2);
    const sent = messages.filter(({ step }) => step === 'token_request');
    expect(sent).toHaveLength(2);
    for (const { parameters } of sent) {
      expect(parameters.DPoP).toMatch(/^… \(\d+ characters\)$/);
    }
    expect(JSON.stringify(messages)).not.toContain(issuer.tokenRequests[0]?.dpop);
  });

  test.each<[string, [number, object, Record<string, string>?], number]>([
    ['demanded for ever', [400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'n' }], 2],
    ['demanded without one', [400, { error: 'use_dpop_nonce' }], 1],
    ['given with another error', [400, { error: 'invalid_grant' }, { 'DPoP-Nonce': 'n' }], 1],
    ['given with a wrong proof', [400, { error: 'invalid_dpop_proof' }, { 'DPoP-Nonce': 'n' }], 1],
    ['given with an outage', [503, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'n' }], 1],
  ])('sends the code no more than it must: a nonce is %s', async (_name, answer, requests) => {
    const { begin, browser } = await start();
    const { callback } = await begin();
    issuer.onTokenRequest = () => answer;
    expect((await browser.get(callback())).status).toBeGreaterThanOrEqual(400);
    expect(issuer.tokenRequests).toHaveLength(requests);
  });

  test.each<[string, Record<string, unknown>]>([
    ['no algorithms', {}],
    ['no ES256', { dpop_signing_alg_values_supported: ['RS256'] }],
    ['a text', { dpop_signing_alg_values_supported: 'ES256' }],
  ])('at an issuer whose metadata has %s is not begun', async (_name, metadata) => {
    nock.cleanAll();
    issuer = standInForIssuer(metadata);
    const { browser, events } = await start();
    const response = await browser.get('/login');
    expect([response.status, await codeOf(response)]).toEqual([502, 'ERR_DPOP_UNSUPPORTED']);
    expect(await browser.cookieNames()).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: 'sign_in_refused', code: 'ERR_DPOP_UNSUPPORTED' });
  });

  test('that is answered with a bearer token opens no session', async () => {
    const { begin, browser } = await start();
    const response = await browser.get((await begin()).callback());
    expect([response.status, await codeOf(response)]).toEqual([502, 'ERR_DPOP_UNSUPPORTED']);
    expect(await (await browser.get('/')).json()).toEqual({});
  });

  test('a refresh that is answered with a bearer token is an error, and the token is not used', async () => {
    const { signIn, grant, browser } = await start();
    await signIn({}, { token_type: 'DPoP', expires_in: 1 });
    grant({}, { access_token: 'access-2' });
    const response = await browser.get('/refresh');
    expect([response.status, await codeOf(response)]).toEqual([502, 'ERR_DPOP_UNSUPPORTED']);
  });

  test('a session from before the option needs a new sign-in, one with a key goes on without it', async () => {
    const store = memoryStore();
    const before = await start({ dpop: false, session: { store } });
    await before.signIn();
    const app = await start({ session: { store } });
    expect(await (await app.served.browser(before.browser.jar).get('/')).json()).toEqual({});

    await app.signIn({}, { token_type: 'DPoP' });
    const without = before.served.browser(app.browser.jar);
    const { jkt } = (await (await without.get('/thumbprint')).json()) as { jkt: string };
    before.grant({}, { token_type: 'DPoP', access_token: 'access-2' });
    expect(await (await without.get('/refresh')).json()).toMatchObject({ value: 'access-2' });
    expect(await thumbprintIn(issuer.tokenRequests.at(-1)?.dpop)).toBe(jkt);
  });

  test('a copy of the store, and of the cookie of a sign-in, shows no key', async () => {
    const store = memoryStore();
    const seen: string[] = [];
    const { create } = store;
    store.create = (key, session) => {
      seen.push(JSON.stringify(session));
      return create.call(store, key, session);
    };
    const { signIn, browser, begin } = await start({ session: { store } });
    await signIn({}, { token_type: 'DPoP' });
    await begin();
    seen.push(await browser.jar.getCookieString('https://app.example/'));
    const { jwk } = (await verified(issuer.tokenRequests[0]?.dpop)).protectedHeader;
    expect(seen).toHaveLength(2);
    for (const text of seen) {
      expect(text).not.toContain(jwk?.x);
      expect(text).not.toContain('"d":');
    }
  });
});
