/** Where Auth0 has its endpoints. */
export const ROUTES = {
  authorization: '/authorize',
  token: '/oauth/token',
  userinfo: '/userinfo',
  revocation: '/oauth/revoke',
  pushed_authorization_request: '/oauth/par',
  jwks: '/.well-known/jwks.json',
  end_session: '/oidc/logout',
} as const;
