import { beforeEach, describe, expect, test } from '@jest/globals';
import { type AccessTokens, createAccessTokens } from '../src/access-token.ts';
import { OidcError } from '../src/errors.ts';
import type { Session, SessionContent } from '../src/session.ts';
import { TokenRequestRefused } from '../src/token-response.ts';

const NOW = 1_700_000_000;

let stored: Session | undefined;
let granted: string[];
let revoked: string[];
let warnings: Error[];
let grant: (content: SessionContent) => Promise<SessionContent>;
let accessTokens: AccessTokens;

function session(expiresIn: number, change: Partial<SessionContent> = {}): Session {
  const content: SessionContent = {
    claims: { iss: 'i', sub: 's', aud: 'c', iat: NOW, exp: NOW },
    idToken: 'i.d.t',
    requestedScope: 'openid',
    accessToken: { value: 'old', expiresAt: NOW + expiresIn, scope: 'openid' },
    refreshToken: 'refresh-1',
    ...change,
  };
  return { id: 'session', version: 1, createdAt: NOW, expiresAt: NOW + 9999, content };
}

const renewed = async (content: SessionContent): Promise<SessionContent> => ({
  ...content,
  accessToken: { value: 'new', expiresAt: NOW + 3600, scope: 'openid' },
  refreshToken: 'refresh-2',
});
const fail = (error: Error) => () => Promise.reject(error);
const down = new OidcError('ERR_TOKEN_ENDPOINT_UNAVAILABLE');
const tokenOf = async (one: Session) => (await accessTokens.supply(one)).content.accessToken.value;
const tick = () => new Promise((resolve) => setTimeout(resolve, 5));

beforeEach(() => {
  [granted, revoked, warnings] = [[], [], []];
  grant = renewed;
  accessTokens = createAccessTokens({
    sessions: {
      reload: async () => stored,
      async save(before, content) {
        if (stored?.version !== before.version) return undefined;
        stored = { ...before, version: before.version + 1, content };
        return stored;
      },
    },
    grants: {
      async byRefreshToken(refreshToken, content) {
        granted.push(refreshToken);
        await tick();
        return grant(content);
      },
      async revoke(refreshToken) {
        revoked.push(refreshToken);
      },
    },
    leeway: 30,
    now: () => NOW * 1000,
    onWarning: (warning) => warnings.push(warning),
  });
});

describe('when', () => {
  test.each([
    ['far from its end', 3600, 'old', 0],
    ['just outside the leeway', 31, 'old', 0],
    ['within the leeway', 30, 'new', 1],
    ['over', -1, 'new', 1],
  ])('a token %s', async (_name, expiresIn, value, grants) => {
    stored = session(expiresIn);
    expect(await tokenOf(stored)).toBe(value);
    expect(granted).toHaveLength(grants);
  });

  test('a token without a known end is used', async () => {
    const accessToken = { value: 'old', expiresAt: undefined, scope: '' };
    stored = session(0, { accessToken });
    expect(await tokenOf(stored)).toBe('old');
  });

  test('without a refresh token, a token near its end is used, an expired one is not', async () => {
    stored = session(10, { refreshToken: undefined });
    expect(await tokenOf(stored)).toBe('old');
    stored = session(-1, { refreshToken: undefined });
    await expect(tokenOf(stored)).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(granted).toHaveLength(0);
  });
});

describe('once', () => {
  test('all who ask at once share one grant', async () => {
    const one = session(-1);
    stored = one;
    const values = await Promise.all(Array.from({ length: 100 }, () => tokenOf(one)));
    expect(new Set(values)).toEqual(new Set(['new']));
    expect(granted).toEqual(['refresh-1']);
  });

  test('who comes later with the old record gets the new token without a grant', async () => {
    const outdated = session(-1);
    stored = outdated;
    await tokenOf(outdated);
    expect(await tokenOf(outdated)).toBe('new');
    expect(granted).toHaveLength(1);
  });

  test('the rotated refresh token is stored before anyone has the access token', async () => {
    stored = session(-1);
    const supplied = await accessTokens.supply(stored);
    expect(stored?.content.refreshToken).toBe('refresh-2');
    expect(supplied.content.refreshToken).toBe('refresh-2');
    expect(JSON.stringify(stored)).not.toContain('refresh-1');
  });

  test('different sessions share nothing', async () => {
    stored = session(-1);
    const other = { ...stored, id: 'other' };
    await Promise.all([tokenOf(stored), tokenOf(other).catch(() => {})]);
    expect(granted).toHaveLength(2);
  });
});

describe('refused', () => {
  const invalidGrant = new TokenRequestRefused('invalid_grant');

  test('invalid_grant takes the tokens out of the session and asks for a sign-in', async () => {
    grant = fail(invalidGrant);
    stored = session(-1);
    await expect(tokenOf(stored)).rejects.toMatchObject({
      code: 'ERR_LOGIN_REQUIRED',
      status: 401,
    });
    expect(stored?.content).toMatchObject({ accessToken: undefined, refreshToken: undefined });
  });

  test('invalid_grant after another process has renewed uses what that one got', async () => {
    const outdated = session(-1);
    stored = outdated;
    grant = async (content) => {
      stored = { ...outdated, version: 2, content: await renewed(content) };
      throw invalidGrant;
    };
    expect(await tokenOf(outdated)).toBe('new');
    expect(stored?.content.refreshToken).toBe('refresh-2');
  });

  test('invalid_client leaves the session as it is', async () => {
    grant = fail(new TokenRequestRefused('invalid_client'));
    stored = session(-1);
    await expect(tokenOf(stored)).rejects.toMatchObject({ code: 'ERR_TOKEN_REQUEST_REFUSED' });
    expect(stored?.content.refreshToken).toBe('refresh-1');
  });
});

describe('unavailable', () => {
  test('serves the old token while it is valid, and says so', async () => {
    grant = fail(down);
    stored = session(10);
    expect(await tokenOf(stored)).toBe('old');
    expect(warnings).toEqual([down]);
  });

  test('is a 503 once the old token is over; the session stays, and the next try may succeed', async () => {
    grant = fail(down);
    stored = session(-1);
    await expect(tokenOf(stored)).rejects.toMatchObject({ status: 503 });
    expect(stored?.content.refreshToken).toBe('refresh-1');
    grant = renewed;
    expect(await tokenOf(stored as Session)).toBe('new');
  });
});

describe('a session that ends meanwhile', () => {
  test('stays ended, and what was granted is revoked', async () => {
    const one = session(-1);
    stored = one;
    const supplied = tokenOf(one);
    await tick();
    stored = undefined;
    await expect(supplied).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(stored).toBeUndefined();
    expect(revoked).toEqual(['refresh-2']);
  });

  test('makes no grant when it had ended before', async () => {
    stored = undefined;
    await expect(tokenOf(session(-1))).rejects.toMatchObject({ code: 'ERR_LOGIN_REQUIRED' });
    expect(granted).toHaveLength(0);
  });

  test('a session that changed meanwhile keeps both changes', async () => {
    const one = session(-1);
    stored = one;
    grant = async (content) => {
      stored = { ...one, version: 2, content: { ...one.content, requestedScope: 'changed' } };
      return renewed(content);
    };
    expect(await tokenOf(one)).toBe('new');
    expect(stored?.content).toMatchObject({ requestedScope: 'changed', refreshToken: 'refresh-2' });
  });
});
