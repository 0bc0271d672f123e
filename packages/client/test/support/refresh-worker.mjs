// One of several processes of an app, which share nothing but the session store. Is sent the name of
// a store, a session's id and how many calls to make at once; sends what each call got.

import { createHttpClient, createIssuer } from '@koa-oauth/issuer';
import { createGrants } from '../../dist/login/grant.js';
import { createSeal } from '../../dist/session/seal.js';
import { createSessions } from '../../dist/session/session.js';
import { createSessionTerms } from '../../dist/session/session-list.js';
import { fileStore } from '../../dist/session/stores/file.js';
import { redisStore } from '../../dist/session/stores/redis.js';
import { createAccessTokens } from '../../dist/tokens/access-token.js';

const { issuer, secrets, leaseDuration, file, redis } = JSON.parse(process.argv[2]);

const onWarning = () => {};
const emit = () => {};
const now = Date.now;
const grants = createGrants({
  issuer: createIssuer({ issuerBaseURL: issuer }),
  client: {
    clientID: 'client-1',
    clientSecret: 'secret-1',
    clientAuthMethod: 'client_secret_basic',
  },
  audienceParameter: 'audience',
  clockTolerance: 60,
  http: createHttpClient(),
  revocationHttp: createHttpClient(),
  now,
});

function start(store) {
  const sessions = createSessions({
    store,
    seal: createSeal(secrets, 'session'),
    aboutSeal: createSeal(secrets, 'about a session'),
    terms: createSessionTerms(secrets),
    secure: true,
    cookieName: 'session',
    rollingDuration: 86_400,
    absoluteDuration: 604_800,
    now,
    onWarning,
  });
  const options = { sessions, grants, leeway: 30, now, onWarning, emit, leaseDuration };
  return { sessions, accessTokens: createAccessTokens(options) };
}

const apps = { file: start(fileStore(file)), ...(redis && { Redis: start(redisStore(redis)) }) };

process.on('message', async ({ store, id, calls }) => {
  const { sessions, accessTokens } = apps[store];
  const session = await sessions.load({ get: () => id, set() {}, clear() {}, names: () => [] });
  const results = await Promise.allSettled(
    Array.from({ length: calls }, () => accessTokens.supply(session)),
  );
  process.send(results.map(({ value, reason }) => value?.accessToken.value ?? reason.code));
});
process.send('ready');
