import { describe, expect, test } from '@jest/globals';
import type { OtherAccessToken, SessionContent } from '../../src/session/session.ts';
import {
  findToken,
  refusedScopes,
  type WantedToken,
  wantedOf,
  withoutTokens,
  withToken,
} from '../../src/tokens/kept-tokens.ts';

const NOW = 1_700_000_000;
const API = 'https://api.example';

function token(value: string, change: Partial<OtherAccessToken> = {}): OtherAccessToken {
  const scope = change.scope ?? value;
  return {
    value,
    expiresAt: NOW + 3600,
    issuedAt: NOW,
    scope,
    requestedScope: scope,
    audience: undefined,
    ...change,
  };
}

function content(...otherAccessTokens: OtherAccessToken[]): SessionContent {
  return {
    claims: { iss: 'i', sub: 's', aud: 'c', iat: NOW, exp: NOW },
    idToken: 'i.d.t',
    loginId: 'login-1',
    requestedScope: 'a b c d',
    requestedAudience: API,
    accessToken: token('own', { scope: 'a b c' }),
    refreshToken: 'refresh',
    otherAccessTokens,
  };
}

const want = (change: Partial<WantedToken> = {}): WantedToken => ({
  scope: undefined,
  audience: undefined,
  insteadOf: undefined,
  ...change,
});
const moment = { now: NOW, leeway: 30 };
const found = (kept: SessionContent, change: Partial<WantedToken>, leeway = 30) =>
  findToken(kept, want(change), { now: NOW, leeway })?.value;

describe('a token is found', () => {
  const kept = content(
    token('a b'),
    token('a'),
    token('a d', { scope: 'a' }),
    token('short', { scope: 'c', expiresAt: NOW + 20, issuedAt: NOW - 3000 }),
    token('other', { audience: 'other', scope: 'a x', requestedScope: '' }),
    token('other a', { audience: 'other', scope: 'a' }),
  );

  test.each<[string, Partial<WantedToken>, string | undefined]>([
    ["nothing named: the sign-in's", {}, 'own'],
    ['the one with the fewest scopes', { scope: 'a' }, 'a'],
    ['one that has all of them', { scope: 'b a' }, 'a b'],
    ["never the sign-in's for fewer scopes", { scope: 'b c' }, undefined],
    ['not the one that is about to end', { scope: 'c' }, undefined],
    ['not the one that was refused', { scope: 'a', insteadOf: 'a' }, 'a d'],
    ['another API: the one with all of its scopes', { audience: 'other' }, 'other'],
    ['another API, fewer scopes', { audience: 'other', scope: 'a' }, 'other a'],
    ['an API without any', { audience: 'third' }, undefined],
  ])('%s', (_name, wanted, value) => {
    expect(found(kept, wanted)).toBe(value);
  });

  test('about to end, it is found with no leeway', () => {
    expect(found(kept, { scope: 'c' }, 0)).toBe('short');
  });

  test("without a refresh token, the sign-in's has to do", () => {
    const alone = { ...content(), refreshToken: undefined };
    expect(found(alone, { scope: 'b' })).toBe('own');
    expect(found(alone, { scope: 'd' })).toBeUndefined();
  });
});

test.each<[Partial<WantedToken>, Partial<WantedToken>]>([
  [{ audience: API }, {}],
  [{ scope: 'c b a' }, {}],
  [{ audience: API, scope: 'a b c' }, {}],
  [{ scope: 'a' }, { scope: 'a' }],
  [
    { audience: 'other', scope: 'a b c' },
    { audience: 'other', scope: 'a b c' },
  ],
])("of %j, what is the sign-in's own is not named: %j", (wanted, result) => {
  expect(wantedOf(content(), want(wanted))).toEqual(want(result));
});

describe('scopes known to be refused', () => {
  const kept = content(
    token('x', { audience: 'other', scope: 'x', requestedScope: 'x y z' }),
    token('old', { audience: 'third', scope: '', requestedScope: 'x', expiresAt: NOW - 1 }),
  );

  test.each<[Partial<WantedToken>, string[]]>([
    [{}, []],
    [{ scope: 'a b' }, []],
    [{ scope: 'a d e' }, ['d', 'e']],
    [{ audience: 'other' }, []],
    [{ audience: 'other', scope: 'x' }, []],
    [{ audience: 'other', scope: 'z x' }, ['z']],
    [{ audience: 'other', scope: 'w' }, []],
    [{ audience: 'third', scope: 'x' }, []],
  ])('of %j: %j', (wanted, scopes) => {
    expect(refusedScopes(kept, want(wanted), NOW)).toEqual(scopes);
  });
});

test("a new token takes the sign-in's place only if it is just that", () => {
  const own = withToken(content(token('a')), want(), token('new'), NOW);
  expect(own.accessToken?.value).toBe('new');
  expect(own.otherAccessTokens?.map(({ value }) => value)).toEqual(['a']);

  const withB = withToken(content(token('a')), want({ scope: 'b' }), token('b'), NOW);
  expect(withB.accessToken?.value).toBe('own');
  expect(withB.otherAccessTokens?.map(({ value }) => value)).toEqual(['a', 'b']);
  expect(findToken(withB, want({ scope: 'b' }), moment)?.value).toBe('b');
});

test('what has ended, or was asked for alike, makes room; eight are kept', () => {
  const before = content(
    token('over', { expiresAt: NOW - 1 }),
    token('b a'),
    token('b a', { audience: 'other' }),
    ...['1', '2', '3', '4', '5', '6'].map((value) => token(value)),
  );
  const { otherAccessTokens = [] } = withToken(
    before,
    want({ scope: 'a b' }),
    token('new', { scope: 'a', requestedScope: 'a b' }),
    NOW,
  );
  const names = otherAccessTokens.map(({ value, audience }) => audience ?? value);
  expect(names).toEqual(['other', '1', '2', '3', '4', '5', '6', 'new']);
  const more = withToken(content(...otherAccessTokens), want({ scope: 'z' }), token('z'), NOW);
  expect(more.otherAccessTokens).toHaveLength(8);
  expect(more.otherAccessTokens?.[0]?.value).toBe('1');
});

test('without its tokens nothing in it is good for anything', () => {
  const bare = withoutTokens(content(token('secret-token')));
  expect(JSON.stringify(bare)).not.toMatch(/secret-token|own|refresh"/);
  expect(bare.claims.sub).toBe('s');
});
