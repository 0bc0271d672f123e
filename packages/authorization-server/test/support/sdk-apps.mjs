// Applications with unmodified SDKs of Auth0, each under a path of its own. The test copies this file to
// the folder where they are installed, sends it the settings, and waits until it answers.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [{ domain, origin, port, clientId, clientSecret, scope, audience }] = await once(
  process,
  'message',
);

async function passportAuth0(path) {
  const express = require('express');
  const session = require('express-session');
  const passport = require('passport');
  const Auth0Strategy = require('passport-auth0');
  const callbackURL = `${origin}${path}/callback`;
  const options = { domain, clientID: clientId, clientSecret, callbackURL };
  passport.use(
    new Auth0Strategy(options, (_accessToken, refreshToken, _params, profile, done) =>
      done(null, {
        id: profile.id,
        emails: profile.emails,
        hasRefreshToken: Boolean(refreshToken),
      }),
    ),
  );
  passport.serializeUser((user, done) => done(null, user));
  passport.deserializeUser((user, done) => done(null, user));
  const app = express();
  app.use(session({ secret: 'x', resave: false, saveUninitialized: false }));
  app.use(passport.session());
  app.get(`${path}/login`, passport.authenticate('auth0', { scope, audience }));
  app.get(`${path}/callback`, passport.authenticate('auth0', { successRedirect: path }));
  app.get(path, (req, res) => res.json(req.user ?? null));
  app.use((error, _req, res, _next) => res.status(500).json({ error: error.message }));
  return app;
}

/** The middleware of a Next application, without Next: it takes and returns standard requests. */
async function nextjsAuth0(path) {
  const { Auth0Client } = await import('@auth0/nextjs-auth0/server');
  const { NextRequest, NextResponse } = await import('next/server.js');
  const routes = Object.fromEntries(
    ['login', 'logout', 'callback'].map((name) => [name, `${path}/${name}`]),
  );
  const auth0 = new Auth0Client({
    domain,
    clientId,
    clientSecret,
    appBaseUrl: origin,
    secret: '0'.repeat(64),
    authorizationParameters: { scope, audience },
    signInReturnToPath: path,
    routes,
  });
  const answer = async (request) => {
    if (Object.values(routes).includes(request.nextUrl.pathname)) return auth0.middleware(request);
    const { user, tokenSet } = (await auth0.getSession(request)) ?? {};
    if (!request.nextUrl.pathname.endsWith('/refresh')) {
      return NextResponse.json({ sub: user?.sub, refreshToken: tokenSet?.refreshToken });
    }
    const changed = new NextResponse();
    const { token, expiresAt } = await auth0.getAccessToken(request, changed, { refresh: true });
    return NextResponse.json({ token, expiresAt }, { headers: changed.headers });
  };
  return async (req, res) => {
    const request = new NextRequest(origin + req.url, { headers: req.headers });
    const response = await answer(request).catch((error) =>
      NextResponse.json({ error: error.message }, { status: 500 }),
    );
    res.statusCode = response.status;
    for (const [name, value] of response.headers) res.appendHeader(name, value);
    res.end(await response.text());
  };
}

/** The node SDK has no pages: each step is a request with the method's parameters in the query. */
async function nodeAuth0(path) {
  const { AuthenticationClient, UserInfoClient } = await import('auth0');
  const { oauth } = new AuthenticationClient({ domain, clientId, clientSecret });
  const machine = new AuthenticationClient({
    domain,
    clientId: 'contacts-cli',
    clientSecret: 'contacts-cli-demo-secret',
  });
  const steps = {
    code: ({ nonce, ...body }) =>
      oauth.authorizationCodeGrantWithPKCE(body, { idTokenValidateOptions: { nonce } }),
    refresh: (body) => oauth.refreshTokenGrant(body),
    revoke: (body) => oauth.revokeRefreshToken(body),
    machine: (body) => machine.oauth.clientCredentialsGrant(body),
    userinfo: ({ token }) => new UserInfoClient({ domain }).getUserInfo(token),
  };
  return async (req, res) => {
    const { pathname, searchParams } = new URL(req.url, origin);
    const step = steps[pathname.slice(path.length + 1)];
    const body = await step(Object.fromEntries(searchParams)).then(
      ({ data = null }) => data,
      ({ message }) => ({ error: message }),
    );
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify(body));
  };
}

/** A page with a single-page SDK, whose calls the browser's driver makes, and its script. */
async function singlePage(path, file) {
  const { readFile } = await import('node:fs/promises');
  const script = await readFile(require.resolve(file));
  return (req, res) => {
    const isScript = req.url === `${path}/sdk.js`;
    res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    res.end(
      isScript ? script : `<!doctype html><title>App</title><script src="${path}/sdk.js"></script>`,
    );
  };
}

const apps = {
  '/passport': await passportAuth0('/passport'),
  '/next': await nextjsAuth0('/next'),
  '/node': await nodeAuth0('/node'),
  '/auth0-js': await singlePage('/auth0-js', 'auth0-js/dist/auth0.min.js'),
  '/spa-js': await singlePage('/spa-js', '@auth0/auth0-spa-js/dist/auth0-spa-js.production.js'),
};
const server = createServer((req, res) => {
  const app = apps[/^\/[\w-]+/.exec(req.url)?.[0]];
  if (app === undefined) res.writeHead(404).end();
  else app(req, res);
});
server.listen(port, '127.0.0.1');
await once(server, 'listening');
process.send('ready');
