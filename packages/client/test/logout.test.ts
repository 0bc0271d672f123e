import { describe, expect, test } from '@jest/globals';
import { endSessionURL } from '../src/logout.ts';

const metadata = { issuer: 'https://issuer.example/', jwks_uri: 'https://issuer.example/jwks' };
const session = { clientID: 'c', idToken: 'i.d.t', home: 'https://app.example' };

describe('end of the session at the issuer', () => {
  test('RP-Initiated Logout 1.0 §2, the endpoint’s own query kept', () => {
    const end_session_endpoint = 'https://issuer.example/logout?tenant=1';
    const url = new URL(endSessionURL({ ...metadata, end_session_endpoint }, session));
    expect(url.origin + url.pathname).toBe('https://issuer.example/logout');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tenant: '1',
      id_token_hint: 'i.d.t',
      client_id: 'c',
      post_logout_redirect_uri: 'https://app.example',
    });
  });

  test('a hint too long for a URL is left out', () => {
    const end_session_endpoint = 'https://issuer.example/logout';
    const idToken = 'x'.repeat(2001);
    const url = endSessionURL({ ...metadata, end_session_endpoint }, { ...session, idToken });
    expect(new URL(url).searchParams.has('id_token_hint')).toBe(false);
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
