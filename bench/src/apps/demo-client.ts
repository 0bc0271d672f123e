/** A client of the demo tenant. The address is only what the apps are taken for: nobody listens there. */
export const DEMO_CLIENT = {
  baseURL: 'http://localhost:3000',
  clientID: 'contacts-web',
  clientSecret: 'contacts-web-demo-secret',
  clientAuthMethod: 'client_secret_post',
  secret: 'a secret of the session, long enough',
} as const;

export const DEMO_SCOPE = 'openid profile email offline_access read:contacts';
