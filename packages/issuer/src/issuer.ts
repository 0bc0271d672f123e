import {
  type AuthorizationServerMetadata,
  fetchMetadata,
} from './authorization-server-metadata.ts';
import { InvalidOptions, IssuerError } from './errors.ts';
import {
  createEmitter,
  type EventWithoutIssuer,
  ISSUER_CHANNEL,
  type IssuerEvent,
} from './events.ts';
import { createHttpClient, fetchJson, type HttpClientOptions } from './http-client.ts';
import { parseIssuerIdentifier } from './issuer-identifier.ts';
import { JwkSet, type KeyHeader, type SigningKey } from './jwk-set.ts';
import { KeptFresh } from './kept-fresh.ts';

/** Options of `createIssuer`. The defaults are meant for production. */
export interface IssuerOptions {
  /** The issuer identifier (RFC 8414 §2); a slash at the end may differ from the metadata's. */
  issuerBaseURL: string;
  /** Maximum milliseconds for one whole request to the issuer. Default: 5,000. */
  timeout?: number | undefined;
  /** Milliseconds for which expired keys and metadata are used while the issuer is down. Default: a day. */
  maxStale?: number | undefined;
  /** Minimum milliseconds between two fetches made because of an unknown key. Default: 10,000. */
  cooldown?: number | undefined;
  /** Proxy and certificate authorities of its HTTP client. */
  http?: Pick<HttpClientOptions, 'proxy' | 'ca'> | undefined;
  /** Called on each change of keys and metadata. */
  onEvent?: ((event: IssuerEvent) => void) | undefined;
  /**
   * Clock that ages of keys, metadata and failures are measured by, in milliseconds. It must never go
   * back. Default: `performance.now`.
   */
  monotonicNow?: (() => number) | undefined;
}

/** One issuer, as a relying party sees it. Nothing is fetched before it is needed. */
export interface Issuer {
  readonly issuerBaseURL: string;
  /** Returns the issuer's metadata. @throws IssuerError with status 503 */
  metadata(): Promise<AuthorizationServerMetadata>;
  /**
   * Finds the key for a token's header.
   *
   * @throws IssuerError `ERR_SIGNING_KEY_NOT_FOUND` when the issuer has none; another one, with status
   *   503, when the keys are not available
   */
  signingKey(header: KeyHeader): Promise<SigningKey>;
  /**
   * Fetches metadata and keys if none are held, so that the first request need not wait.
   *
   * @throws IssuerError with status 503
   */
  ready(): Promise<void>;
  /**
   * Reports whether a key is known, without waiting, to be among the issuer's. Keeps the keys fresh as
   * `signingKey` does. False also when only a request to the issuer would show it.
   */
  hasKey(key: SigningKey): boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Makes an issuer from its identifier. Metadata and keys are fetched at first use, shared by all
 * callers, refreshed in the background, and used for a bounded time more while the issuer is down.
 *
 * @throws InvalidOptions when the identifier is no `https` URL (`http` on loopback), or a limit no number
 * @example
 * const issuer = createIssuer({ issuerBaseURL: 'https://tenant.example.com/' });
 * const { token_endpoint } = await issuer.metadata();
 * const { key } = await issuer.signingKey({ alg: 'RS256', kid: 'key-1' });
 */
export function createIssuer({
  issuerBaseURL,
  timeout = 5000,
  maxStale = DAY_MS,
  cooldown = 10_000,
  http,
  onEvent,
  monotonicNow = () => performance.now(),
}: IssuerOptions): Issuer {
  checkOptions(issuerBaseURL, { timeout, maxStale, cooldown });
  const client = createHttpClient({ timeout, ...http });
  const fetch = (url: string) => fetchJson(url, client);
  const publish = createEmitter(ISSUER_CHANNEL, onEvent);
  const emit = (event: EventWithoutIssuer) =>
    publish({ ...event, issuer: issuerBaseURL } as IssuerEvent);
  const kept = (what: 'metadata' | 'keys') => ({
    monotonicNow,
    maxStale,
    onFailed(error: unknown) {
      const detail = error instanceof IssuerError ? error.detail : String(error);
      emit({ type: 'refresh_failed', what, detail });
    },
    onStale: (ageMs: number) => emit({ type: 'stale_used', what, ageMs }),
  });
  const metadata = new KeptFresh({
    ...kept('metadata'),
    fetch: () => fetchMetadata(issuerBaseURL, fetch),
  });
  const keys = new JwkSet({
    ...kept('keys'),
    fetch: async () => fetch((await metadata.get()).jwks_uri),
    cooldown,
    onRefreshed: ({ length }) => emit({ type: 'keys_refreshed', keys: length }),
    onLeftOut: (leftOut) => emit({ type: 'keys_left_out', leftOut }),
  });
  return {
    issuerBaseURL,
    metadata: () => metadata.get().catch(throwCopy),
    signingKey: (header) => keys.find(header).catch(throwCopy),
    ready: () =>
      keys
        .ready()
        .then(() => metadata.get())
        .then(() => {}, throwCopy),
    hasKey: (key) => keys.has(key),
  };
}

function checkOptions(issuerBaseURL: unknown, limits: Record<string, unknown>): void {
  const faults: string[] = [];
  try {
    parseIssuerIdentifier(issuerBaseURL);
  } catch (error) {
    faults.push((error as Error).message);
  }
  for (const [name, value] of Object.entries(limits)) {
    const least = name === 'timeout' ? 1 : 0;
    if (typeof value !== 'number' || !(value >= least && value <= MAX_TIMER_MS)) {
      faults.push(`${name} must be ${least} to ${MAX_TIMER_MS} milliseconds`);
    }
  }
  if (faults.length > 0) throw new InvalidOptions(faults.join('; '));
}

// Many requests wait for one fetch. Each gets an error of its own, since the handler that answers a
// request may write into its error.
function throwCopy(error: unknown): never {
  if (!(error instanceof IssuerError) || error.status === undefined) throw error;
  const { code, detail } = error;
  throw new IssuerError(code, { detail, cause: error });
}
