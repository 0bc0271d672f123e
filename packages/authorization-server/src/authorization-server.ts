import type { Server } from 'node:http';
import { type Logger, pino } from 'pino';
import { type Control, createControl, newControlToken } from './control/control.ts';
import { createFaults, type Faults } from './control/faults.ts';
import { InvalidTenant } from './errors.ts';
import { warnOfIgnoredSections } from './ignored-sections.ts';
import { type KeyRing, openKeyRing, type RotateOptions } from './keys/key-ring.ts';
import { close, listen, portOf } from './listener.ts';
import { createTransactions, type Transaction } from './log/transactions.ts';
import { createRunningApp, type RunningApp } from './running-app.ts';
import { openStateStore } from './state/file.ts';
import type { Tenant } from './tenant/tenant.ts';
import { watchTenant } from './tenant/watch.ts';
import { checkClock, type TokenClock } from './token/clock.ts';

/** Options of `startAuthorizationServer`. Only `tenant` is required. */
export interface AuthorizationServerOptions {
  /** From `loadTenant`. */
  readonly tenant: Tenant;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** TCP port; 0, the default, takes any free one. */
  readonly port?: number;
  /** Issuer identifier, ending in a slash; default `http://localhost:PORT/`. */
  readonly issuer?: string;
  /** `memory:` (default) or `file:PATH`: logins, consents, refresh tokens. */
  readonly state?: string;
  /** `memory:` (default) or `file:PATH`: the signing keys, made when missing. */
  readonly keys?: string;
  /** TCP port of the control, always on 127.0.0.1, 0 for any free one; undefined, the default: none. */
  readonly control?: number | undefined;
  /**
   * Whether a change of the tenant file, or of an Action or rule file that it names, is taken while
   * the server runs. What a wrong one is refused for is in the log. Default false.
   */
  readonly watch?: boolean;
  /** Default: silent. */
  readonly logger?: Logger;
}

/** A server that runs, until `close`. */
export interface AuthorizationServer {
  /** Issuer identifier, with the slash at its end. */
  readonly issuer: string;
  /** Where it listens, without a slash at its end. */
  readonly url: string;
  /** The one in use: with `watch` another than was given, once its file has changed. */
  readonly tenant: Tenant;
  /** Where the control listens, and its token; undefined when it is off. */
  readonly control: Control | undefined;
  /** What the next requests are to meet; works without the control as well. */
  readonly faults: Pick<Faults, 'add' | 'clear' | 'list'>;
  /**
   * Seconds by which the times in its access and ID tokens are ahead, or with a minus behind; 0, the
   * default, is right. @throws RangeError when set to no whole number, or to more than ten years.
   */
  clock: number;
  /** The last 200 transactions step by step, the latest first, without a secret in them. */
  log(): Transaction[];
  /**
   * The next key signs from now on; the one that did until now stays published, unless it is revoked.
   * Logins, codes and refresh tokens stay as they are.
   *
   * @throws StartError when the key file can't be written; nothing changes then.
   */
  rotateKeys(options?: RotateOptions): Promise<void>;
  /** Takes the previous key, if there is one, out of the key set. @throws StartError as above. */
  revokePreviousKey(): Promise<void>;
  /**
   * Forgets logins, consents, codes, refresh tokens, faults, the log, failed sign-ins and what Actions
   * kept; the clock is right again. Keys and tenant stay.
   */
  reset(): void;
  /** Stops listening, gives open requests a second, closes the state. May be called twice. */
  close(): Promise<void>;
}

/**
 * Starts an authorization server in this process.
 *
 * @throws StartError when the port is in use, or the state or key file can't be used.
 */
export async function startAuthorizationServer({
  keys = 'memory:',
  ...options
}: AuthorizationServerOptions): Promise<AuthorizationServer> {
  return startWithKeys(await openKeyRing(keys), options);
}

/** The same for keys that the caller holds as well. @throws StartError as above. */
export async function startWithKeys(
  ring: KeyRing,
  {
    tenant,
    host = '127.0.0.1',
    port = 0,
    issuer: givenIssuer,
    state = 'memory:',
    control: controlPort,
    watch = false,
    logger = pino({ level: 'silent' }),
  }: Omit<AuthorizationServerOptions, 'keys'>,
): Promise<AuthorizationServer> {
  // The port first: the issuer holds it, and the engine the issuer.
  const server = await listen(host, port);
  const bound = portOf(server);
  const issuer = givenIssuer ?? `http://localhost:${bound}/`;
  const faults = createFaults();
  const transactions = createTransactions();
  const clock: TokenClock = { seconds: 0 };
  let app: RunningApp;
  let controlServer: Server | undefined;
  let control: Control | undefined;
  try {
    const store = openStateStore(state);
    server.once('close', () => store.close());
    const showLog = controlPort !== undefined;
    const shared = { issuer, store, clock, faults, transactions, showLog, log: logger };
    app = createRunningApp({ ...shared, tenant, ring });
    if (controlPort !== undefined) {
      controlServer = await listen('127.0.0.1', controlPort, 'CONTROL');
      control = { url: `http://127.0.0.1:${portOf(controlServer)}`, token: newControlToken() };
      const parts = { token: control.token, app, clock, faults, transactions, log: logger };
      controlServer.on('request', createControl(parts).callback());
    }
    const warn = warnOfIgnoredSections(logger);
    warn(tenant);
    if (watch) {
      const onChange = (changed: Tenant): void => {
        app.useTenant(changed);
        warn(changed);
        // A level that is shown where requests are not: who edits the file waits for it.
        logger.warn({ file: changed.file }, 'the tenant file has changed, and is used from now on');
      };
      const onFault = (error: Error): void => {
        const { file } = tenant;
        if (error instanceof InvalidTenant) {
          const { faults } = error;
          logger.error({ file, faults }, 'the changed tenant file is wrong, the old one stays');
        } else {
          logger.error(
            { file, reason: error.message },
            'a change of the tenant file can not be taken',
          );
        }
      };
      server.once('close', watchTenant({ tenant, onChange, onFault }));
    }
    server.on('request', app.answer);
  } catch (error) {
    await closeAll();
    throw error;
  }
  let closed: Promise<void> | undefined;
  return {
    issuer,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    control,
    get tenant() {
      return app.tenant;
    },
    faults,
    get clock() {
      return clock.seconds;
    },
    set clock(seconds) {
      clock.seconds = checkClock(seconds);
    },
    log: transactions.list,
    rotateKeys: app.rotateKeys,
    revokePreviousKey: app.revokePreviousKey,
    reset: app.reset,
    close: () => (closed ??= closeAll()),
  };

  async function closeAll(): Promise<void> {
    await Promise.all([server, controlServer].map((one) => one && close(one)));
  }
}
