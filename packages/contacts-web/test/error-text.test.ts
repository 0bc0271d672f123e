import { expect, test } from '@jest/globals';
import { explainError } from '../src/error-text.ts';

const facts = { status: 500, code: '', isChange: false, reason: undefined, isSignedIn: false };

test.each([
  ['ERR_UNEXPECTED_CALLBACK', 'This sign-in cannot be finished', '/login?returnTo=/contacts'],
  ['ERR_ISSUER_UNAVAILABLE', 'Signing in is not possible right now', '/login?returnTo=/contacts'],
  ['ERR_LOGIN_REQUIRED', 'Please sign in', '/login?returnTo=/contacts'],
  ['ERR_API_UNAVAILABLE', 'The contacts cannot be reached right now', '/contacts'],
  ['ERR_ISSUER_UNSUITABLE', 'Signing in is not possible here', '/'],
  ['ERR_OF_TOMORROW', 'Something went wrong here', '/'],
  ['constructor', 'Something went wrong here', '/'],
])('the code %s has the title "%s"', (code, title, href) => {
  expect(explainError({ ...facts, code })).toMatchObject({ title, action: { href } });
});

test.each([
  [false, 'You were not signed in', '/login?returnTo=/contacts'],
  [true, 'Nothing has changed', '/contacts'],
])(
  'a refused request of a user with a session (%s) has the title "%s"',
  (isSignedIn, title, href) => {
    const code = 'ERR_AUTHORIZATION_REFUSED';
    const text = explainError({ ...facts, status: 403, code, isSignedIn });
    expect(text).toMatchObject({ title, action: { href } });
  },
);

test('the text says whether data was lost', () => {
  expect(explainError(facts).lost).toMatch(/^No data was lost/);
  expect(explainError({ ...facts, status: 403, isChange: true }).lost).toMatch(/was not saved/);
  expect(explainError({ ...facts, isChange: true }).lost).toMatch(/may not have been saved/);
});

test('the text quotes the authorization server', () => {
  const reason = { error: 'access_denied', errorDescription: 'the user said no' };
  expect(explainError({ ...facts, reason }).quote).toBe('access_denied: the user said no');
});
