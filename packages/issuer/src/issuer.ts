import {
  type AuthorizationServerMetadata,
  fetchMetadata,
} from './authorization-server-metadata.ts';
import { createEmitter } from './create-emitter.ts';
import { InvalidMetadata, InvalidOptions, IssuerUnavailable } from './errors.ts';
import { type EventWithoutIssuer, ISSUER_CHANNEL, type IssuerEvent } from './events.ts';
import { fetchJson } from './fetch-json.ts';
import { createHttpClient, type HttpClientOptions } from './http-client.ts';
import { parseIssuerIdentifier } from './issuer-identifier.ts';
import { JwkSet, type KeyHeader, type SigningKey } from './jwk-set.ts';
import { KeptFresh } from './kept-fresh.ts';

/** Options of `createIssuer`. Of all but `issuerBaseURL` the default is meant for production. */
export interface IssuerOptions {
  /** The issuer identifier (RFC 8414 §2); a slash at the end may differ from the metadata's. */
  issuerBaseURL: string;
  /** Milliseconds for one whole request to the issuer, default 5000. */
  timeout?: number;
  /** Milliseconds for which keys and metadata are used while the issuer is down, default 24 hours. */
  maxStale?: number;
  /** Least milliseconds between two fetches made because of an unknown key, default 10000. */
  cooldown?: number;
  /** Milliseconds since the epoch, default `Date.now`. */
  now?: () => number;
  /** Proxy and certificate authorities of its HTTP client. */
  http?: Pick<HttpClientOptions, 'proxy' | 'ca'>;
  /** Told of what happens to keys and metadata. */
  onEvent?: (event: IssuerEvent) => void;
}

/** One issuer, as a relying side sees it. Nothing is fetched before it is needed. */
export interface Issuer {
  readonly issuerBaseURL: string;
  /** @throws IssuerUnavailable or InvalidMetadata, both status 503 */
  metadata(): Promise<AuthorizationServerMetadata>;
  /**
   * The key for a token's header.
   * @throws SigningKeyNotFound when the issuer has none; IssuerUnavailable (503) when that can't be told
   */
  signingKey(header: KeyHeader): Promise<SigningKey>;
  /**
   * Fetches metadata and keys if none are held, so that the first request need not wait.
   * @throws IssuerUnavailable or InvalidMetadata, both status 503
   */
  ready(): Promise<void>;
  /**
   * Whether a key is known, without waiting, to be among the issuer's. Keeps the keys fresh as
   * `signingKey` does. False also when that can't be told without asking the issuer.
   */
  hasKey(key: SigningKey): boolean;
}

const DAY = 24 * 60 * 60 * 1000;
// The longest that a timer of Node can wait.
const LONGEST = 2 ** 31 - 1;

/**
 * Makes an issuer from its identifier. Metadata and keys are fetched at first use, shared by all
 * callers, kept fresh in the background, and used on while the issuer is down.
 *
 * @throws InvalidOptions when the identifier is no `https` URL (`http` on loopback), or a limit no number
 */
export function createIssuer({
  issuerBaseURL,
  timeout = 5000,
  maxStale = DAY,
  cooldown = 10_000,
  now = Date.now,
  http,
  onEvent,
}: IssuerOptions): Issuer {
  checkOptions(issuerBaseURL, { timeout, maxStale, cooldown });
  const client = createHttpClient({ timeout, ...http });
  const fetch = (url: string) => fetchJson(url, client);
  const publish = createEmitter(ISSUER_CHANNEL, onEvent);
  const emit = (event: EventWithoutIssuer) =>
    publish({ ...event, issuer: issuerBaseURL } as IssuerEvent);
  const tell = (what: 'metadata' | 'keys') => ({
    onFailed: (error: unknown) => emit({ type: 'refresh_failed', what, detail: describe(error) }),
    onStale: (ageMs: number) => emit({ type: 'stale_used', what, ageMs }),
  });
  const metadata = new KeptFresh({
    fetch: () => fetchMetadata(issuerBaseURL, fetch),
    now,
    maxStale,
    ...tell('metadata'),
  });
  const keys = new JwkSet({
    fetch: async () => fetch((await metadata.get()).jwks_uri),
    now,
    maxStale,
    cooldown,
    ...tell('keys'),
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

function describe(error: unknown): string {
  return error instanceof IssuerUnavailable ? error.detail : String(error);
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
    if (typeof value !== 'number' || !(value >= least && value <= LONGEST)) {
      faults.push(`${name} must be ${least} to ${LONGEST} milliseconds`);
    }
  }
  if (faults.length > 0) throw new InvalidOptions(faults.join('; '));
}

// Many requests wait for one fetch. Each gets an error of its own, since whoever answers a request
// may write into its error.
function throwCopy(error: unknown): never {
  if (!(error instanceof IssuerUnavailable)) throw error;
  const Kind = error instanceof InvalidMetadata ? InvalidMetadata : IssuerUnavailable;
  throw new Kind(error.detail, {
    cause: error,
    retryAfter: Number(error.headers['Retry-After']),
  });
}
