import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoTenantFile, loadTenant } from '@koa-oauth/authorization-server';
import { type LocalIssuer, startLocalIssuer } from '@koa-oauth/authorization-server/testing';
import { hashSync } from 'bcryptjs';
import { pino } from 'pino';
import { RecordingProxy } from './recording-proxy.ts';
import type { Place, Secret } from './secret-search.ts';
import { freePorts, type Service, startService } from './services.ts';

/** Seconds that access tokens are valid: refreshes come soon. */
export const TOKEN_LIFETIME = 2;

/** The web app, the API and the issuer, each behind a proxy that records all messages. */
export interface Stage {
  readonly issuer: LocalIssuer;
  readonly toWeb: RecordingProxy;
  readonly toApi: RecordingProxy;
  readonly toIssuer: RecordingProxy;
  /** Path of the data folder, which also has the database of the API. */
  readonly dir: string;
  /** True if the tokens of a session are bound to its key (RFC 9449). */
  readonly isBound: boolean;
  readonly passwords: ReadonlyMap<string, string>;
  /** Secrets that exist before the first request. */
  readonly secrets: readonly Secret[];
  logs(): Place[];
  stop(): Promise<void>;
}

/**
 * Starts the services and their proxies.
 *
 * @param sessionStoreURL relative to the data folder, if it is a file
 * @param settings additional settings of the web app
 */
export async function startStage(
  sessionStoreURL: string,
  settings: Record<string, string> = {},
): Promise<Stage> {
  const dir = await mkdtemp(join(tmpdir(), 'koa-oauth-secrets-'));
  const [toWeb, toApi, toIssuer] = await Promise.all([
    RecordingProxy.start(),
    RecordingProxy.start(),
    RecordingProxy.start(),
  ]);
  const clientSecret = randomBytes(32).toString('base64');
  const cookieSecret = randomBytes(32).toString('base64');
  const { tenant, passwords } = secretTenant(toWeb.url, clientSecret);

  let issuerLog = '';
  const write = (line: string) => {
    issuerLog += line;
  };
  const issuer = await startLocalIssuer({
    tenant,
    issuer: `${toIssuer.url}/`,
    logger: pino({ level: 'trace' }, { write }),
  });
  toIssuer.target = Number(new URL(issuer.url).port);
  const services = await startApps(
    dir,
    issuer,
    { toWeb, toApi },
    {
      CLIENT_SECRET: clientSecret,
      SECRET: cookieSecret,
      SESSION_STORE_URL: sessionStoreURL,
      SHOW_TOKENS: 'no',
      ...settings,
    },
  );

  return {
    issuer,
    toWeb,
    toApi,
    toIssuer,
    dir,
    isBound: settings.DPOP === 'true',
    passwords,
    secrets: [
      { kind: 'client secret', value: clientSecret },
      { kind: 'cookie secret', value: cookieSecret },
      ...[...passwords.values()].map((value) => ({ kind: 'password', value })),
    ],
    logs: () => [
      { name: 'the log of the web app', text: services[0].printed() },
      { name: 'the log of the API', text: services[1].printed() },
      { name: 'the log of the issuer', text: issuerLog },
      { name: 'the transactions of the issuer', text: JSON.stringify(issuer.log()) },
    ],
    async stop() {
      await Promise.all(services.map((service) => service.stop()));
      await Promise.all([issuer, toWeb, toApi, toIssuer].map((one) => one.close()));
      await rm(dir, { recursive: true });
    },
  };
}

/** Returns the demo tenant with new secrets, the web app at this address, and tokens of a short life. */
function secretTenant(web: string, clientSecret: string) {
  const tenant = loadTenant(demoTenantFile);
  const [application] = tenant.clients;
  const [api] = tenant.resourceServers;
  if (!application || !api) throw new Error('the demo tenant has changed');
  application.client_secret = clientSecret;
  application.callbacks.push(`${web}/callback`);
  application.allowed_logout_urls.push(web);
  api.token_lifetime = TOKEN_LIFETIME;
  const passwords = new Map(
    tenant.users.map((user) => {
      const password = randomBytes(12).toString('base64url');
      // The sign-in page shows readable passwords of the tenant, as buttons.
      Object.assign(user, { password: undefined, password_hash: hashSync(password, 4) });
      return [user.email, password];
    }),
  );
  return { tenant, passwords };
}

/** Starts the web app and the API behind their proxies. */
async function startApps(
  dir: string,
  { issuer }: LocalIssuer,
  { toWeb, toApi }: Pick<Stage, 'toWeb' | 'toApi'>,
  webSettings: Record<string, string>,
): Promise<[web: Service, api: Service]> {
  const [webPort, apiPort] = (await freePorts(2)) as [number, number];
  toWeb.target = webPort;
  toApi.target = apiPort;
  return Promise.all([
    startService('contacts-web', dir, {
      PORT: String(webPort),
      BASE_URL: toWeb.url,
      ISSUER_BASE_URL: issuer,
      API_BASE_URL: toApi.url,
      ...webSettings,
    }),
    startService('contacts-api', dir, {
      PORT: String(apiPort),
      BASE_URL: toApi.url,
      ISSUER_BASE_URL: issuer,
      DPOP_NONCE: 'true',
    }),
  ]);
}
