import { randomBytes } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { GracefulServer } from '@koa-oauth/service';
import { type Logger, pino } from 'pino';
import { ActionCache } from './actions/cache.ts';
import { createApp } from './app.ts';
import type { AppParts } from './context.ts';
import { type Control, createControl } from './control/control.ts';
import { Faults } from './control/faults.ts';
import { createLimits } from './http/limits.ts';
import { KeyRing, type RotateOptions, rotationSchema } from './keys/key-ring.ts';
import { type Transaction, Transactions } from './log/transactions.ts';
import { checkTenant, readOptions, serverOptionsSchema } from './options.ts';
import { openStateStore } from './state/file.ts';
import { InvalidTenant } from './tenant/load.ts';
import type { Tenant } from './tenant/tenant.ts';
import { TenantWatch } from './tenant/watch.ts';
import { checkClock } from './token/token-claims.ts';

/** Time for open requests to finish when the server stops. */
const GRACE_MS = 1000;

/** Options of `startAuthorizationServer`. Only `tenant` is required. */
export interface AuthorizationServerOptions {
  /** The result of `loadTenant`. */
  readonly tenant: Tenant;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string | undefined;
  /** TCP port; 0, the default, takes any free one. */
  readonly port?: number | undefined;
  /** Issuer identifier; a slash is added at its end; default `http://localhost:PORT/`. */
  readonly issuer?: string | undefined;
  /** `memory:` (default) or `file:PATH`: logins, consents, refresh tokens. */
  readonly state?: string | undefined;
  /** `memory:` (default) or `file:PATH`: the signing keys, made when missing. */
  readonly keys?: string | undefined;
  /** TCP port of the control, always on 127.0.0.1, 0 for any free one; undefined, the default: none. */
  readonly control?: number | undefined;
  /**
   * Uses changes of the tenant file, and of the Action and rule files that it names, while the server
   * runs. A wrong file is rejected, and the log has the reason. Default false.
   */
  readonly watch?: boolean | undefined;
  /** Default: a silent logger. */
  readonly logger?: Logger | undefined;
}

type OptionsWithoutKeys = Omit<AuthorizationServerOptions, 'keys'>;

/** Parts that the engine gets once: for another value it is made again. */
type ChangingParts = Pick<AppParts, 'tenant' | 'limits' | 'caches'>;

interface Listeners {
  readonly http: GracefulServer;
  readonly control?: GracefulServer;
}

/**
 * Starts an authorization server in this process.
 *
 * @example
 * const server = await startAuthorizationServer({ tenant: loadTenant('tenant.yaml') });
 * console.log(server.issuer); // http://localhost:41234/
 * await server.close();
 *
 * @throws StartError when an option is wrong or unknown, the port is in use, or the state or key file can't
 * be used.
 */
export async function startAuthorizationServer(
  options: AuthorizationServerOptions,
): Promise<AuthorizationServer> {
  const { keys = 'memory:', ...others } = readOptions(serverOptionsSchema, options);
  return AuthorizationServer.start(await KeyRing.open(keys), others);
}

/** A running server, until `close`. */
export class AuthorizationServer {
  /** Issuer identifier, with the slash at its end. */
  readonly issuer: string;
  /** Address of the server, without a slash at its end. */
  readonly url: string;
  /** Address and token of the control; undefined when it is off. */
  readonly control: Control | undefined;
  /** Faults for the next requests; they work without the control too. */
  readonly faults: Pick<Faults, 'add' | 'clear' | 'list'>;

  readonly #listeners: Listeners;
  readonly #ring: KeyRing;
  readonly #parts: Omit<AppParts, 'keys' | keyof ChangingParts>;
  readonly #warned = new Set<string>();
  #changing: ChangingParts;
  #answer: RequestListener;
  #closed: Promise<void> | undefined;

  /** Starts a server with keys that the caller can use too. @throws StartError */
  static async start(ring: KeyRing, options: OptionsWithoutKeys): Promise<AuthorizationServer> {
    const { host = '127.0.0.1', port = 0, control, watch = false } = options;
    const http = new GracefulServer();
    const listeners: Listeners = {
      http,
      ...(control !== undefined && { control: new GracefulServer() }),
    };
    try {
      // The port first: the issuer identifier contains it, and the engine needs the identifier.
      await http.start(port, host);
      await listeners.control?.start(control ?? 0, '127.0.0.1', 'CONTROL');
      const server = new AuthorizationServer(listeners, ring, options);
      if (watch) server.#watchTenant();
      http.on('request', (request, response) => server.#answer(request, response));
      return server;
    } catch (error) {
      await stop(listeners);
      throw error;
    }
  }

  private constructor(listeners: Listeners, ring: KeyRing, options: OptionsWithoutKeys) {
    const { http, control } = listeners;
    const { tenant, host = '127.0.0.1', state = 'memory:' } = options;
    const { issuer = `http://localhost:${http.port}/`, logger = pino({ level: 'silent' }) } =
      options;
    const store = openStateStore(state);
    http.once('close', () => store.close());
    this.issuer = issuer;
    this.url = `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`;
    this.#listeners = listeners;
    this.#ring = ring;
    this.#parts = {
      issuer,
      store,
      isListening: () => http.listening,
      clock: { seconds: 0 },
      faults: new Faults(),
      transactions: new Transactions(),
      showLog: control !== undefined,
      log: logger,
    };
    this.faults = this.#parts.faults;
    this.#changing = { tenant, limits: createLimits(tenant), caches: createCaches() };
    this.#answer = this.#createAnswer(this.#changing);
    this.#warn();
    if (control !== undefined) {
      const token = randomBytes(32).toString('base64url');
      this.control = { url: `http://127.0.0.1:${control.port}`, token };
      control.on('request', createControl(this, token, logger).callback());
    }
  }

  /** The tenant in use; with `watch` it changes with its file. */
  get tenant(): Tenant {
    return this.#changing.tenant;
  }

  /**
   * Seconds by which the times in access and ID tokens are ahead; negative: behind; default 0.
   *
   * @throws RangeError when it is set to no whole number, or to more than ten years.
   */
  get clock(): number {
    return this.#parts.clock.seconds;
  }

  set clock(seconds: number) {
    this.#parts.clock.seconds = checkClock(seconds);
  }

  /** Returns the last 200 transactions step by step, the latest first, without secrets. */
  log(): Transaction[] {
    return this.#parts.transactions.list();
  }

  /**
   * Signs with the next key from now on. The previous key stays published, unless it is revoked.
   * Logins, codes and refresh tokens stay valid.
   *
   * @throws StartError when an option is wrong, or the key file can't be written; then nothing changes.
   */
  async rotateKeys(options?: RotateOptions): Promise<void> {
    await this.#ring.rotate(readOptions(rotationSchema, options ?? {}));
    this.#change({});
  }

  /** Removes the previous key from the key set. @throws StartError as `rotateKeys`. */
  async revokePreviousKey(): Promise<void> {
    await this.#ring.revokePrevious();
    this.#change({});
  }

  /**
   * Uses another tenant from now on, with the same state. The counts of limits start again.
   *
   * @throws Error when the engine can't use it; then the old tenant stays.
   */
  useTenant(tenant: Tenant): void {
    checkTenant(tenant);
    this.#change({ tenant, limits: createLimits(tenant) });
    this.#warn();
  }

  /**
   * Removes logins, consents, codes, refresh tokens, faults, the log, counts of failed sign-ins and the
   * caches of Actions, and sets the clock to 0. Keys and tenant stay.
   */
  reset(): void {
    const { store, faults, transactions, clock } = this.#parts;
    store.clear();
    faults.clear();
    transactions.clear();
    clock.seconds = 0;
    this.#change({ limits: createLimits(this.tenant), caches: createCaches() });
  }

  /** Stops listening, waits a second for open requests, closes the state. May be called twice. */
  close(): Promise<void> {
    this.#closed ??= stop(this.#listeners);
    return this.#closed;
  }

  /** Creates a new engine, in a millisecond or two; running requests end with the old one. */
  #change(changed: Partial<ChangingParts>): void {
    const changing = { ...this.#changing, ...changed };
    this.#answer = this.#createAnswer(changing);
    this.#changing = changing;
  }

  #createAnswer(changing: ChangingParts): RequestListener {
    return createApp({ ...this.#parts, ...changing, keys: this.#ring.keys }).callback();
  }

  #watchTenant(): void {
    const { tenant } = this;
    const { file } = tenant;
    const { log } = this.#parts;
    const watch = new TenantWatch({
      tenant,
      onChange: (changed) => {
        this.useTenant(changed);
        // A level that `npm run dev` shows: the editor of the file waits for this line.
        log.warn({ file }, 'the tenant file has changed, and is used from now on');
      },
      onFault(error) {
        if (error instanceof InvalidTenant) {
          const { faults } = error;
          log.error({ file, faults }, 'the changed tenant file is wrong, the old one stays');
        } else {
          log.error({ file, reason: error.message }, "a change of the tenant file can't be used");
        }
      },
    });
    this.#listeners.http.once('close', () => watch.close());
  }

  #warn(): void {
    const { ignored, notices } = this.tenant;
    const fresh = (texts: readonly string[]): string[] =>
      texts.filter((text) => !this.#warned.has(text) && this.#warned.add(text));
    const settings = fresh(ignored);
    const places = fresh(notices);
    const { log } = this.#parts;
    if (settings.length > 0) log.warn({ settings }, 'settings of the tenant are ignored');
    if (places.length > 0) log.warn({ places }, 'parts of the tenant have no value');
  }
}

function createCaches(): AppParts['caches'] {
  return { postLogin: new ActionCache(), credentialsExchange: new ActionCache() };
}

async function stop({ http, control }: Listeners): Promise<void> {
  await Promise.all([http.stop(GRACE_MS), control?.stop(GRACE_MS)]);
}
