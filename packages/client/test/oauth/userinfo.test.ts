import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { ISSUER, type IssuerStandIn, standInForIssuer } from '../support/issuer-stand-in.ts';
import { startWebApp, type WebApp } from '../support/web-app.ts';

let issuer: IssuerStandIn;
let app: WebApp | undefined;
let asked: (string | undefined)[];

beforeEach(() => {
  nock.disableNetConnect();
  nock.enableNetConnect('127.0.0.1');
  issuer = standInForIssuer({ userinfo_endpoint: `${ISSUER}userinfo` });
  asked = [];
});

afterEach(async () => {
  await app?.served.close();
  app = undefined;
  nock.cleanAll();
});

afterAll(() => nock.restore());

const ALL = 'openid profile email';

/** Signs in a user of whom the ID token has these claims, and returns `ctx.oidc.user` and events. */
async function signIn(
  userinfo: [status: number, body: unknown],
  { claims = {}, params = {}, response = {} }: Record<string, Record<string, unknown>> = {},
) {
  nock(ISSUER)
    .persist()
    .get('/userinfo')
    .reply(function answer() {
      const { authorization } = this.req.headers as unknown as Record<string, string>;
      asked.push(authorization);
      return userinfo as [number, nock.Body];
    });
  app = await startWebApp(issuer, { authorizationParams: { scope: ALL, ...params } });
  await app.signIn(claims, response);
  const { user } = (await (await app.browser.get('/')).json()) as { user: unknown };
  return { user, warnings: app.events.filter(({ type }) => type === 'warning') };
}

const nested = (levels: number): unknown => (levels === 0 ? [] : [nested(levels - 1)]);

describe('claims that the ID token lacks (OpenID Connect Core §5.3)', () => {
  const ada = { sub: 'user-1', name: 'Ada', email: 'ada@example.com' };

  test('come from the userinfo endpoint, asked with the access token', async () => {
    const { user, warnings } = await signIn([200, { ...ada, exp: 1, sid: 'x' }]);
    expect(user).toEqual(ada);
    expect(asked).toEqual(['Bearer access-1']);
    expect(warnings).toEqual([]);
  });

  test('those of the ID token count', async () => {
    const claims = { name: 'Ada of the ID token', 'https://example.com/roles': ['reader'] };
    const userinfo = { ...ada, 'https://example.com/roles': ['admin'] };
    const { user } = await signIn([200, userinfo], { claims });
    expect(user).toEqual({ ...ada, ...claims });
  });

  test.each<[string, Record<string, Record<string, unknown>>, number]>([
    ['all are there', { claims: { name: 'Ada', email: 'a@example.com' } }, 0],
    ['no e-mail is there', { claims: { name: 'Ada' } }, 1],
    ['no scope is about them', { params: { scope: 'openid read' } }, 0],
    ['the scope was not granted', { response: { scope: 'openid' } }, 0],
    [
      'the claims parameter asks for it',
      { params: { scope: 'openid', claims: '{"userinfo":{"name":null}}' } },
      1,
    ],
  ])('is the endpoint asked where %s', async (_name, change, times) => {
    await signIn([200, ada], change);
    expect(asked).toHaveLength(times);
  });

  test.each<[string, [number, unknown], string]>([
    ['is of another user', [200, { ...ada, sub: 'user-2' }], '"sub" is not that of the ID token'],
    ['has no sub', [200, { name: 'Ada' }], '"sub" is not that of the ID token'],
    ['is refused', [401, { error: 'invalid_token' }], 'it answered 401'],
    ['is a redirect', [302, ada], 'it answered 302'],
    ['is signed', [200, 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln'], 'it is not a JSON object'],
    ['has a name twice', [200, '{"sub":"a","sub":"b"}'], 'a member name is there twice'],
    ['is a list', [200, [ada]], 'it is not a JSON object'],
    ['is nested', [200, { ...ada, x: nested(200) }], 'it is nested too deep'],
    ['is long', [200, { ...ada, bio: 'x'.repeat(40_000) }], 'it is too long'],
  ])('a userinfo that %s is not used, and the user is signed in', async (_name, answer, detail) => {
    const { user, warnings } = await signIn(answer);
    expect(user).toEqual({ sub: 'user-1' });
    expect(warnings).toEqual([
      { type: 'warning', code: 'ERR_USERINFO', detail: `userinfo: ${detail}` },
    ]);
  });

  test('without the endpoint, or without its answer, the user is signed in', async () => {
    app = await startWebApp(issuer, { authorizationParams: { scope: ALL } });
    await app.signIn();
    expect(app.events).toContainEqual({
      type: 'warning',
      code: 'ERR_USERINFO',
      detail: expect.stringMatching(/^userinfo: GET https:\/\/issuer\.example\/userinfo: \w+$/),
    });
    await app.served.close();
    nock.cleanAll();
    issuer = standInForIssuer();
    app = await startWebApp(issuer, { authorizationParams: { scope: ALL } });
    await app.signIn();
    expect(app.events.map(({ type }) => type)).toEqual(['keys_refreshed', 'signed_in']);
  });
});
