import { randomUUID } from 'node:crypto';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { GracefulServer } from '@koa-oauth/service';
import got, { type Got } from 'got';
import type { Kysely } from 'kysely';
import { pino } from 'pino';
import { testKey } from '../../../../test/support/test-keys.ts';
import { type App, type AppOptions, createApp } from '../../src/app.ts';
import { type RateLimitOptions, RateLimits } from '../../src/http/rate-limits.ts';
import { migrate, openDatabase } from '../../src/store/database.ts';
import type { Tables } from '../../src/store/schema.ts';
import { type Engine, engines, type TestDatabase } from './databases.ts';

export const audience = 'https://contacts.example.com/api';
export const namespace = 'https://contacts.example.com/';

/** The API in this process, over real HTTP, with its own issuer and database. */
export interface RunningApp {
  readonly app: App;
  readonly issuer: TestIssuer;
  readonly database: Kysely<Tables>;
  readonly port: number;
  readonly api: Got;
  /** Returns all log lines so far. */
  logged(): string;
  /** Makes a valid token of alice at acme with these scopes and claims. */
  token(scope: string, claims?: Record<string, unknown>): string;
  close(): Promise<void>;
}

export async function startApp(
  options: Partial<AppOptions> & Partial<RateLimitOptions> & { engine?: Engine } = {},
): Promise<RunningApp> {
  const { engine = (await engines())[0] as Engine } = options;
  const issuer = await startTestIssuer({ keys: [testKey()] });
  const { perSubject = 1_000_000, refusedPerAddress = 1_000_000, ...appOptions } = options;
  const testDatabase: TestDatabase = await engine.create();
  const database = openDatabase(testDatabase.url);
  await migrate(testDatabase.url);
  let logged = '';
  const write = (line: string) => {
    logged += line;
  };
  const limits = new RateLimits({ perSubject, refusedPerAddress, storeURL: 'memory:' });
  const app = createApp({
    issuerBaseURL: issuer.issuer,
    audience,
    claimsNamespace: namespace,
    baseURL: 'http://localhost:3001',
    corsOrigins: [],
    trustProxy: false,
    logoutClientIds: ['contacts-web'],
    database,
    limits,
    logger: pino({ level: 'trace' }, { write }),
    ...appOptions,
  });
  const server = new GracefulServer({ maxHeaderBytes: 24 * 1024 });
  server.on('request', app.koa.callback());
  await server.start(0, '127.0.0.1');
  const { port } = server;
  return {
    app,
    issuer,
    database,
    port,
    api: got.extend({
      prefixUrl: `http://127.0.0.1:${port}`,
      throwHttpErrors: false,
      retry: { limit: 0 },
      responseType: 'json',
    }),
    logged: () => logged,
    token: (scope, claims = {}) =>
      issuer.token({
        sub: 'auth0|alice',
        aud: audience,
        scope,
        [`${namespace}org_id`]: 'acme',
        ...claims,
      }),
    async close() {
      server.closeAllConnections();
      server.close();
      await issuer.close();
      limits.close();
      await database.destroy();
      await testDatabase.drop();
    },
  };
}

export const bearer = (accessToken: string) => ({
  headers: { authorization: `Bearer ${accessToken}` },
});

/** Makes a logout token for the web app (OpenID Connect Back-Channel Logout 1.0 §2.4). */
export function logoutToken(issuer: TestIssuer, claims: Record<string, unknown>): string {
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const all = { aud: 'contacts-web', jti: randomUUID(), events, ...claims };
  return issuer.token(all, { typ: 'logout+jwt' });
}
