/** Client of the demo tenant. No process listens on its address. */
export const DEMO_CLIENT = {
  baseURL: 'http://localhost:3000',
  clientID: 'contacts-web',
  clientSecret: 'contacts-web-demo-secret',
  clientAuthMethod: 'client_secret_post',
  secret: 'a secret of the session, long enough',
} as const;

export const DEMO_SCOPE = 'openid profile email offline_access read:contacts';
