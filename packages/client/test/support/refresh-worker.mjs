// One of several processes of an app, which share nothing but the session store. Is sent the name of
// a store, a session's id and how many calls to make at once; sends what each call got. If it is sent a
// term, it ends the sessions with that term, and sends how many.

import { Client } from '../../dist/client.js';
import { checkOptions } from '../../dist/options/options.js';
import { postgresStore } from '../../dist/session/stores/postgres.js';
import { redisStore } from '../../dist/session/stores/redis.js';
import { sqliteStore } from '../../dist/session/stores/sqlite.js';
import { AccessTokens } from '../../dist/tokens/access-token.js';

const { issuer, leaseDuration, file, redis, postgres } = JSON.parse(process.argv[2]);

function start(store) {
  const options = checkOptions({
    issuerBaseURL: issuer,
    baseURL: 'https://app.example',
    clientID: 'client-1',
    clientSecret: 'client-secret-1',
    secret: 's-secret-of-the-tests-0123456789',
    session: { store },
    // A slow machine does not reach it.
    httpTimeout: 30_000,
  });
  const client = new Client(options);
  const accessTokens = new AccessTokens(client, { leaseDuration });
  return { sessions: client.sessions, accessTokens };
}

const apps = {
  SQLite: start(sqliteStore(file)),
  ...(redis && { Redis: start(redisStore(redis)) }),
  ...(postgres && { PostgreSQL: start(postgresStore(postgres)) }),
};

process.on('message', async ({ question, store, id, calls, term }) => {
  const { sessions, accessTokens } = apps[store];
  if (term) {
    process.send({ question, values: [await sessions.list.endAll(term)] });
    return;
  }
  const session = await sessions.load({ get: () => id, set() {}, clear() {}, names: () => [] });
  const results = await Promise.allSettled(
    Array.from({ length: calls }, () => accessTokens.supply(session)),
  );
  const values = results.map(({ value, reason }) => value?.accessToken.value ?? reason.code);
  process.send({ question, values });
});
process.send('ready');
