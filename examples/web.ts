// Signs users in, and calls an API for them. It needs the issuer and the API of the demo, and port
// 3000: node examples/dist/web.js
import { randomBytes } from 'node:crypto';
import Router from '@koa/router';
import { auth, requiresAuth } from '@koa-oauth/client';
import Koa from 'koa';

const {
  PORT = '3000',
  BASE_URL: baseURL = 'http://localhost:3000',
  ISSUER_BASE_URL: issuerBaseURL = 'http://localhost:3002',
  CLIENT_ID: clientID = 'contacts-web',
  CLIENT_SECRET: clientSecret = 'contacts-web-demo-secret',
  SECRET: secret = randomBytes(32).toString('base64url'), // without it, each start signs out all users
  AUDIENCE: audience = 'https://contacts.example.com/api',
  API_BASE_URL = 'http://localhost:3001',
} = process.env;

const scope = 'openid profile offline_access read:contacts';
const client = { clientID, clientSecret, clientAuthMethod: 'client_secret_post' } as const;
const authorizationParams = { scope, audience };
const api = { baseURL: API_BASE_URL };

const router = new Router();
router.get('/', (ctx) => {
  ctx.body = ctx.oidc.isAuthenticated()
    ? '<a href="/contacts">Contacts</a> <form method="post" action="/logout"><button>Sign out</button></form>'
    : '<a href="/login">Sign in</a>';
});
router.get('/contacts', requiresAuth(), async (ctx) => {
  const { body } = await ctx.oidc.api.get('contacts');
  ctx.body = { name: ctx.oidc.user?.name, contacts: body };
});

const app = new Koa(); // answers errors with their status, headers and public text
app.use(auth({ issuerBaseURL, baseURL, ...client, secret, authorizationParams, api }));
app.use(router.routes()).use(router.allowedMethods());
app.listen(Number(PORT), '127.0.0.1', () => console.log(baseURL));
