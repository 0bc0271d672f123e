import { createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { memoryStore } from '@koa-oauth/client';
import nock from 'nock';
import { CookieJar } from 'tough-cookie';
import { proves } from '../../../../test/support/proves.ts';
import {
  API,
  ISSUER,
  jwt,
  standInForIssuer,
  startApp,
  type TestApp,
} from '../support/stand-ins.ts';

describe('the session page', () => {
  let app: TestApp;

  const ORDERS = jwt({
    iss: ISSUER,
    aud: 'https://contacts.example.com/api',
    scope: 'read:contacts',
  });

  beforeEach(async () => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    standInForIssuer();
    nock(API)
      .persist()
      .get('/openapi.json')
      .reply(200, {
        paths: {
          '/contacts': {
            get: { summary: 'List', security: [{ accessToken: ['read:contacts'] }] },
            post: { summary: 'Add', security: [{ accessToken: ['create:contacts'] }] },
          },
          '/activity': {
            get: { security: [{ accessToken: ['read:activity'] }], 'x-required-role': 'admin' },
          },
          '/healthz': { get: { security: [] } },
        },
      });
  });

  afterEach(async () => {
    await app.close();
    nock.cleanAll();
  });

  const page = async () => (await app.get('/session')).text();

  describe('in development', () => {
    beforeEach(async () => {
      app = await startApp({ showTokens: true });
    });

    test('shows what was really sent and received, step by step, secrets masked', async () => {
      await app.signIn({ accessToken: ORDERS });
      const html = await page();
      for (const parameter of ['state', 'nonce', 'audience', 'code_challenge', 'grant_type']) {
        expect(html).toContain(`<code>${parameter}</code>`);
      }
      expect(html).toContain('The hash of a secret that only this app has (PKCE).');
      expect(html).toContain(`GET ${ISSUER}authorize`);
      expect(html).toContain(`POST ${ISSUER}oauth/token`);
      expect(html).toContain('<svg');
      for (const secret of ['the-code', 'the-client-secret', 'the-refresh-token']) {
        expect(html).not.toContain(secret);
      }
    });

    test('shows them too where two processes share the sign-in and its session', async () => {
      const store = memoryStore();
      await app.close();
      app = await startApp({ showTokens: true, store });
      const other = await startApp({ showTokens: true, store });
      const jar = new CookieJar();
      const [first, second] = [app.otherBrowser(jar), other.otherBrowser(jar)];
      await first.signIn({ accessToken: ORDERS, by: second });
      for (const browser of [first, second]) {
        const html = await (await browser.get('/session')).text();
        expect(html).toContain(`GET ${ISSUER}authorize`);
        expect(html).toContain(`POST ${ISSUER}oauth/token`);
      }
      await other.close();
    });

    test('shows both tokens, decoded and encoded', async () => {
      await app.signIn({ accessToken: ORDERS, claims: { '<b>': '<i>' } });
      const html = await page();
      expect(html).toContain('Checked: is the nonce of this sign-in.');
      expect(html).toContain('Checked: names the API.');
      expect(html).toContain('because of <code>SHOW_TOKENS</code>');
      expect(html).toContain(ORDERS);
      expect(html).toContain('&lt;b>');
      expect(html).not.toContain('<b>');
    });

    test('an access token that is not a JWT is not decoded', async () => {
      await app.signIn({ accessToken: 'opaque' });
      expect(await page()).toContain('It is not a JWT');
    });

    test('says what each route of the API needs, and whether this token has it', async () => {
      await app.signIn({ scope: 'openid read:contacts read:activity' });
      const html = await page();
      expect(html).toMatch(/GET<\/strong> \/contacts<\/span><small>needs read:contacts.*?allowed/);
      expect(html).toMatch(
        /POST<\/strong> \/contacts<\/span><small>needs create:contacts.*?refused/,
      );
      expect(html).toMatch(
        /\/activity<\/span><small>needs read:activity and the role admin.*?refused/,
      );
      expect(html).not.toContain('/healthz');
    });

    test('without the document of the API only that part of the page is missing', async () => {
      nock.cleanAll();
      standInForIssuer();
      await app.signIn();
      nock(API).get('/openapi.json').reply(503);
      const response = await app.get('/session');
      expect(response.status).toBe(200);
      expect(await response.text()).toContain('list of routes is not available right now');
    });

    test('refreshes on demand, and shows both messages of it', async () => {
      await app.signIn();
      nock(ISSUER)
        .post('/oauth/token', /grant_type=refresh_token/)
        .reply(200, {
          access_token: ORDERS,
          token_type: 'Bearer',
          expires_in: 60,
          scope: 'openid',
        });
      const html = await (await app.post('/session/refresh')).text();
      expect(html).toContain('A new access token');
      expect(html).toContain(ORDERS);
      expect(html).toMatch(/action="\/session\/refresh#answer">[\s\S]*id="answer"/);
      expect(html).toContain('<h3>Refresh</h3>');
      expect(html).not.toContain('the-refresh-token');
    });

    test('without a refresh token has no button that needs one, and says so', async () => {
      await app.signIn({ refreshToken: undefined });
      const html = await page();
      expect(html).toContain('This session has no refresh token');
      expect(html).toContain('Then you sign in again');
      expect(html).not.toContain('action="/session/refresh');
    });

    test('a refresh token that the issuer no longer accepts ends it', async () => {
      await app.signIn();
      nock(ISSUER).post('/oauth/token').reply(403, { error: 'invalid_grant' });
      const response = await app.post('/session/refresh');
      expect(response.status).toBe(401);
      expect(await response.text()).toContain('Please sign in');
    });

    test('gets a second token for fewer scopes, and keeps the first', async () => {
      await app.signIn();
      nock(ISSUER)
        .post('/oauth/token', /scope=read%3Acontacts(&|$)/)
        .reply(200, { access_token: 'narrow', token_type: 'Bearer', scope: 'read:contacts' });
      const html = await (await app.post('/session/refresh', { scope: 'read:contacts' })).text();
      expect(html).toContain('A second access token, with fewer scopes');
      expect(html).toContain('the-access-token');
    });

    test('a scope that was never granted is refused without asking', async () => {
      await app.signIn({ scope: 'openid read:contacts' });
      const response = await app.post('/session/refresh', { scope: 'delete:contacts' });
      expect(response.status).toBe(403);
      expect(await response.text()).toContain('never granted');
    });

    describe('calls the API wrongly', () => {
      const seen: { url: string; authorization: string | undefined }[] = [];
      const api = createServer((request, response) => {
        seen.push({ url: request.url ?? '', authorization: request.headers.authorization });
        response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' });
        response.end('{"title":"<Unauthorized>"}');
      }).listen(0, '127.0.0.1');
      afterAll(() => void api.close());

      beforeEach(async () => {
        await app.close();
        seen.length = 0;
        const { port } = api.address() as AddressInfo;
        app = await startApp({ showTokens: true, apiBaseURL: `http://127.0.0.1:${port}` });
        await app.signIn({ accessToken: ORDERS });
      });

      test.each([
        ['none', undefined],
        ['broken', /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/],
        ['expired', /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/],
        ['foreign', /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/],
        ['audience', /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/],
        ['id_token', /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/],
        ['query', undefined],
      ])('%s, and shows the answer', async (attempt, sent) => {
        const html = await (await app.post('/session/try', { attempt })).text();
        expect(html).toContain('Bearer error=&quot;invalid_token&quot;');
        expect(html).toContain('&lt;Unauthorized>');
        expect(html).toMatch(/action="\/session\/try#answer">[\s\S]*id="answer"/);
        const { authorization, url } = seen.find(({ url }) => url.startsWith('/contacts')) ?? {};
        if (sent) expect(authorization).toMatch(sent);
        else expect(authorization).toBeUndefined();
        expect(authorization).not.toBe(`Bearer ${ORDERS}`);
        expect(url).toBe(attempt === 'query' ? '/contacts?access_token=made-up' : '/contacts');
      });

      test.each(['', '__proto__', 'constructor'])('but not %j', async (attempt) => {
        expect((await app.post('/session/try', { attempt })).status).toBe(404);
      });
    });

    describe('with DPOP=true', () => {
      const seen: IncomingHttpHeaders[] = [];
      const api = createServer((request, response) => {
        if (request.url?.startsWith('/contacts')) seen.push(request.headers);
        const challenge = `DPoP error="answer_${seen.length}", algs="ES256"`;
        response.writeHead(401, { 'WWW-Authenticate': challenge }).end();
      }).listen(0, '127.0.0.1');
      afterAll(() => void api.close());

      beforeEach(async () => {
        await app.close();
        seen.length = 0;
        const apiBaseURL = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
        app = await startApp({ showTokens: true, dpop: true, apiBaseURL });
        await app.signIn({ accessToken: jwt({ iss: ISSUER, cnf: { jkt: 'x' } }) });
      });

      test('shows the thumbprint of the key, and a decoded proof', async () => {
        const html = await page();
        const [, thumbprint] = /has the thumbprint <code>([\w-]{43})<\/code>/.exec(html) ?? [];
        expect(thumbprint).toBeDefined();
        expect(html).not.toContain('which the access token has');
        for (const name of ['htm', 'htu', 'jti', 'ath', 'cnf', 'dpop_jkt']) {
          expect(html).toContain(`<code>${name}</code>`);
        }
        expect(html).toContain('is the address, without its query');
        expect(html).toContain('-H &#39;DPoP: ey'.replaceAll('&#39;', "'"));
        expect(html).not.toContain('"d":');
      });

      test('a stolen token goes without its proof', async () => {
        const html = await (await app.post('/session/try', { attempt: 'stolen' })).text();
        expect(html).toContain('as a thief would who has it without the key');
        expect(seen).toHaveLength(1);
        expect(seen[0]?.authorization).toMatch(/^Bearer /);
        expect(seen[0]?.dpop).toBeUndefined();
      });

      test('a proof is sent twice, and the second answer is shown', async () => {
        const html = await (await app.post('/session/try', { attempt: 'replayed' })).text();
        expect(seen).toHaveLength(2);
        expect(seen[0]?.dpop).toBe(seen[1]?.dpop);
        expect(html).toContain('answer_2');
      });

      test('the other tries have a good proof, so that the token is what is refused', async () => {
        await app.post('/session/try', { attempt: 'audience' });
        const { authorization, dpop } = seen[0] ?? {};
        expect(authorization).toMatch(/^DPoP /);
        const [, payload = ''] = String(dpop).split('.');
        const { ath } = JSON.parse(Buffer.from(payload, 'base64url').toString());
        const token = authorization?.split(' ')[1] ?? '';
        expect(ath).toBe(createHash('sha256').update(token).digest('base64url'));
      });
    });

    test('has no try about proofs for bearer tokens', async () => {
      await app.signIn();
      expect(await page()).not.toMatch(/value="(stolen|replayed)"/);
    });

    test('ends the sessions in other browsers, one or all', async () => {
      await app.signIn();
      const others = [app.otherBrowser(), app.otherBrowser(), app.otherBrowser()] as const;
      for (const other of others) await other.signIn();
      const html = await page();
      const ids = [...html.matchAll(/name="id" value="([\w-]+)"/g)].map(([, id]) => id ?? '');
      expect(ids.filter((id) => id !== 'others')).toHaveLength(3);
      const ended = await app.post('/session/end', { id: ids[0] ?? '' });
      expect(ended.status).toBe(303);
      expect(ended.headers.get('location')).toBe('/session?ended=1#answer');
      const statuses = async () =>
        Promise.all(others.map(async (other) => (await other.get('/session')).status));
      expect((await statuses()).sort()).toEqual([200, 200, 302]);
      await app.post('/session/end', { id: 'others' });
      expect(await statuses()).toEqual([302, 302, 302]);
      expect((await app.get('/session')).status).toBe(200);
    });
  });

  describe('in production', () => {
    beforeEach(async () => {
      app = await startApp({ showTokens: false });
    });

    test('shows claims and scopes, and no token and no flow', async () => {
      await app.signIn({ accessToken: ORDERS });
      const html = await page();
      expect(html).toContain('read:contacts');
      expect(html).toContain('Ada Lovelace');
      expect(html).not.toMatch(/[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/);
      expect(html).not.toMatch(/curl|See the API refuse|code_challenge/);
      expect(html).toContain('&quot;alg&quot;:&quot;RS256&quot;');
    });

    test('plays no games with the API', async () => {
      await app.signIn();
      expect((await app.post('/session/try', { attempt: 'broken' })).status).toBe(404);
    });
  });
});

describe('the way out', () => {
  let app: TestApp;

  beforeEach(async () => {
    nock.disableNetConnect();
    nock.enableNetConnect('127.0.0.1');
    standInForIssuer();
    // The API fails, so error pages are tested too.
    nock(API).persist().get(/.*/).reply(500, {});
    app = await startApp();
    await app.signIn();
  });
  afterEach(async () => {
    await app.close();
    nock.cleanAll();
  });

  test.each(['/', '/contacts', '/contacts/1/edit', '/session', '/logout', '/nowhere'])(
    'the page %s has a button to sign out (OWASP ASVS 5.0 7.4.4)',
    async (path) => {
      proves('ASVS 7.4.4');
      const response = await app.get(path);
      expect(response.headers.get('content-type')).toContain('text/html');
      expect(await response.text()).toMatch(/<form method="post" action="\/logout">\s*<button/);
    },
  );
});
