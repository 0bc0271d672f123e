/** An authorization server that listens on a free port of 127.0.0.1. */
export interface RunningServer {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

/** @param keysFile file of its signing keys, created when missing */
export type StartServer = (keysFile: string) => Promise<RunningServer>;

/** Only the process that runs a server loads it. */
export const SERVERS = {
  'koa-oauth': async () => (await import('./koa-oauth.ts')).koaOauth,
  'oauth2-mock-server': async () => (await import('./oauth2-mock-server.ts')).oauth2MockServer,
} satisfies Record<string, () => Promise<StartServer>>;

export type ServerName = keyof typeof SERVERS;
