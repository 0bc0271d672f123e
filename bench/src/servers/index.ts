import type { StartServer } from './start-server.ts';

/** Only the process that runs a server loads it. */
export const SERVERS = {
  'koa-oauth': async () => (await import('./koa-oauth.ts')).koaOauth,
  'oauth2-mock-server': async () => (await import('./oauth2-mock-server.ts')).oauth2MockServer,
} satisfies Record<string, () => Promise<StartServer>>;

export type ServerName = keyof typeof SERVERS;
