import { describe, expect, test } from '@jest/globals';
import { endSessionURL } from '../src/logout.ts';

const metadata = { issuer: 'https://issuer.example/', jwks_uri: 'https://issuer.example/jwks' };
const session = { clientID: 'c', sid: 'sid-1', home: 'https://app.example' };

describe('end of the session at the issuer', () => {
  test('RP-Initiated Logout 1.0 §2, the endpoint’s own query kept', () => {
    const end_session_endpoint = 'https://issuer.example/logout?tenant=1';
    const url = new URL(endSessionURL({ ...metadata, end_session_endpoint }, session));
    expect(url.origin + url.pathname).toBe('https://issuer.example/logout');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tenant: '1',
      logout_hint: 'sid-1',
      client_id: 'c',
      post_logout_redirect_uri: 'https://app.example',
    });
  });

  test.each([undefined, 7, null])('a session id of %p is no hint', (sid) => {
    const end_session_endpoint = 'https://issuer.example/logout';
    const url = endSessionURL({ ...metadata, end_session_endpoint }, { ...session, sid });
    expect(new URL(url).searchParams.has('logout_hint')).toBe(false);
  });

  test.each(['https://issuer.example/', 'https://issuer.example'])(
    'Auth0’s /v2/logout, when %s names no endpoint',
    (issuer) => {
      expect(endSessionURL({ ...metadata, issuer }, session)).toBe(
        'https://issuer.example/v2/logout?client_id=c&returnTo=https%3A%2F%2Fapp.example',
      );
    },
  );
});
