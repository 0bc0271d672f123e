// A web application with an unmodified express-openid-connect, in a process of its own: it requires
// openid-client, an ES module, which jest can not do. Sends its address, is sent the issuer, then
// serves.

import { once } from 'node:events';
import { createServer } from 'node:http';
import express from 'express';
import { auth } from 'express-openid-connect';

const http = createServer();
http.listen(0, '127.0.0.1');
await once(http, 'listening');
const baseURL = `http://localhost:${http.address().port}`;
process.send(baseURL);
const [{ issuer, authorizationParams }] = await once(process, 'message');

const app = express();
app.use(
  auth({
    issuerBaseURL: issuer,
    baseURL,
    clientID: 'contacts-web',
    clientSecret: 'contacts-web-demo-secret',
    clientAuthMethod: 'client_secret_post',
    secret: 'a secret of the session, long enough',
    ...(authorizationParams && { authorizationParams }),
    authRequired: false,
    idpLogout: true,
    auth0Logout: true,
  }),
);
app.get('/', ({ oidc }, res) => {
  res.json({ sub: oidc.user?.sub, refreshToken: oidc.refreshToken });
});
app.get('/userinfo', async ({ oidc }, res) => {
  res.json(await oidc.fetchUserInfo());
});
app.get('/refresh', async ({ oidc }, res) => {
  res.json(await oidc.accessToken.refresh());
});
http.on('request', app);
process.send('ready');
