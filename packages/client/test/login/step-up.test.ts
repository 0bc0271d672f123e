import { describe, expect, test } from '@jest/globals';
import { InsufficientScope, OidcError } from '../../src/errors.ts';
import {
  requirementFaults,
  type SignInRequirement,
  StepUp,
  StepUpRequired,
} from '../../src/login/step-up.ts';
import type { SessionContent } from '../../src/session/session.ts';
import { checkedOptions } from '../support/options.ts';

const NOW = 1_700_000_000;
const stepUp = new StepUp(
  checkedOptions({ authorizationParams: { scope: 'openid read' }, now: () => NOW * 1000 + 900 }),
);

function content(change: Partial<SessionContent> = {}, claims = {}): SessionContent {
  return {
    claims: { iss: 'i', sub: 's', aud: 'c', iat: NOW, exp: NOW, ...claims },
    idToken: 'i.d.t',
    loginId: 'login-1',
    requestedScope: 'openid read',
    accessToken: {
      value: 'access-1',
      expiresAt: undefined,
      scope: 'openid read',
      requestedScope: 'openid read',
      issuedAt: NOW,
    },
    refreshToken: undefined,
    ...change,
  };
}

function judged(requirement: SignInRequirement, of: SessionContent | undefined): unknown {
  try {
    stepUp.judge(of, requirement);
    return 'enough';
  } catch (error) {
    if (error instanceof StepUpRequired) return error.requirement;
    if (error instanceof InsufficientScope) return `scope ${error.scope}`;
    return (error as OidcError).code;
  }
}

describe('what a sign-in must have brought', () => {
  const at = (seconds: number) => content({}, { auth_time: NOW - seconds, acr: 'gold' });
  const withoutToken = content({ accessToken: undefined });

  test.each<[string, SignInRequirement, SessionContent | undefined, unknown]>([
    ['nothing, without a user', {}, undefined, 'ERR_LOGIN_REQUIRED'],
    ['nothing', {}, content(), 'enough'],
    ['nothing, without a token', {}, withoutToken, 'enough'],
    ['an age that is reached', { maxAge: 100 }, at(160), 'enough'],
    ['an age that is passed', { maxAge: 100 }, at(161), { maxAge: 100 }],
    ['an age of 0', { maxAge: 0 }, at(61), { maxAge: 0 }],
    ['an age, without auth_time', { maxAge: 100 }, content(), { maxAge: 100 }],
    ['an auth_time that is none', { maxAge: 9 }, content({}, { auth_time: '1' }), { maxAge: 9 }],
    ['an acr that is there', { acr: 'silver gold' }, at(0), 'enough'],
    ['an acr that is not', { acr: 'golden' }, at(0), { acr: 'golden' }],
    ['an acr, without one', { acr: 'undefined' }, content(), { acr: 'undefined' }],
    ['a scope that was granted', { scope: 'read' }, content(), 'enough'],
    ['scopes of which one was not', { scope: 'read write' }, content(), 'scope write'],
    ['a scope, without a token', { scope: 'read' }, withoutToken, 'ERR_LOGIN_REQUIRED'],
    [
      'all at once, of which one is met',
      { maxAge: 100, acr: 'gold', scope: 'write' },
      at(1000),
      { maxAge: 100, scope: 'write' },
    ],
  ])('%s', (_name, requirement, of, expected) => {
    expect(judged(requirement, of)).toEqual(expected);
  });
});

test('a requirement that cannot be checked lets no user through', () => {
  for (const requirement of [{ maxage: 1 }, { maxAge: '300' }, { scope: 'a"b' }]) {
    expect(() => stepUp.judge(content(), requirement as SignInRequirement)).toThrow(TypeError);
  }
});

describe('the sign-in that can fix an error', () => {
  const loginRequired = new OidcError('ERR_LOGIN_REQUIRED');
  const asked = content({ requestedScope: 'openid read write' });

  test.each<[string, unknown, SessionContent | undefined, unknown]>([
    ['no user is signed in', loginRequired, undefined, {}],
    ['no token is left', loginRequired, content(), { scope: '' }],
    ['a scope', new InsufficientScope('write'), content(), { scope: 'write' }],
    ['a scope that was asked for', new InsufficientScope('write'), asked, undefined],
    [
      'scopes of which one was',
      new InsufficientScope('write delete'),
      asked,
      { scope: 'write delete' },
    ],
    ['a scope, without a user', new InsufficientScope('write'), undefined, undefined],
    [
      'all at once',
      new StepUpRequired({ maxAge: 0, acr: 'gold', scope: 'write' }),
      content(),
      { authorizationParams: { max_age: 0, acr_values: 'gold' }, scope: 'write' },
    ],
    [
      'an acr that was asked for',
      new StepUpRequired({ acr: 'gold' }),
      content({ requestedAcr: 'gold' }),
      undefined,
    ],
    ['another error', new OidcError('ERR_CROSS_SITE'), content(), undefined],
    ['no error', undefined, content(), undefined],
  ])('%s', (_name, error, of, expected) => {
    expect(stepUp.paramsFor(error, of)).toEqual(expected);
  });
});

test('the union has what was configured, asked for, granted and named, each once', () => {
  const granted = content({ requestedScope: 'openid read write' });
  expect(stepUp.union(granted, undefined, 'write delete')).toBe('openid read write delete');
  expect(stepUp.union(undefined)).toBe('openid read');
});

test.each<[unknown]>([
  [{}],
  [{ maxAge: 0 }],
  [{ maxAge: 300, acr: 'urn:x gold', scope: 'read write' }],
  [{ maxAge: undefined }],
])('%j is right', (requirement) => {
  expect(requirementFaults(requirement as SignInRequirement)).toEqual([]);
});

test.each<[unknown, string[]]>([
  [{ maxAge: -1 }, ['maxAge']],
  [{ maxAge: 1.5 }, ['maxAge']],
  [{ maxAge: '300' }, ['maxAge']],
  [{ maxAge: Number.NaN }, ['maxAge']],
  [{ acr: '' }, ['acr']],
  [{ acr: 'a  b' }, ['acr']],
  [{ acr: ['gold'] }, ['acr']],
  [{ scope: '' }, ['scope']],
  [{ scope: 'a"b' }, ['scope']],
  [{ scope: ['read'] }, ['scope']],
  [{ maxage: 300, scopes: 'read' }, ['unknown: maxage, scopes']],
  [{ maxAge: null, acr: null, scope: null }, ['maxAge', 'acr', 'scope']],
])('%j is reported', (requirement, named) => {
  const faults = requirementFaults(requirement as SignInRequirement);
  expect(faults).toEqual(named.map((name) => expect.stringMatching(`^${name}`)));
});
