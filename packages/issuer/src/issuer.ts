import {
  type AuthorizationServerMetadata,
  fetchMetadata,
} from './authorization-server-metadata.ts';
import { InvalidOptions, IssuerError, unknownOptions } from './errors.ts';
import {
  createEmitter,
  createPrinter,
  ISSUER_CHANNEL,
  type IssuerChange,
  type IssuerEvent,
  printedLine,
} from './events.ts';
import { createHttpClient, type HttpClient, type HttpClientOptions } from './http-client.ts';
import { isSecureURL, parseIssuerIdentifier, parseURL } from './issuer-identifier.ts';
import { JwkSet, type KeyHeader, type SigningKey } from './jwk-set.ts';
import {
  type FetchedJson,
  fetchJson,
  KeptFresh,
  type KeptFreshOptions,
  parseJson,
} from './kept-fresh.ts';
import { checkPublicJwk, importPublishedJwk } from './public-jwk.ts';

/** Options of `createIssuer`. The defaults are meant for production. */
export interface IssuerOptions {
  /** The issuer identifier (RFC 8414 §2); a slash at the end may differ from the metadata's. */
  issuerBaseURL: string;
  /** Address of the metadata, where it is not the usual one. The metadata must name the identifier. */
  metadataURL?: string | undefined;
  /**
   * Address of the key set. No metadata is fetched, so `issuerBaseURL` must be exactly the `iss` of tokens.
   */
  jwksURL?: string | undefined;
  /** The key set itself, for a machine without a network. No metadata is fetched, as with `jwksURL`. */
  jwks?: { readonly keys: readonly object[] } | undefined;
  /**
   * Accepts `http` on any host, as in a network of containers. Who can change that traffic can forge any
   * token. Default: false, `http` on loopback only.
   */
  unsafeAllowHTTP?: boolean | undefined;
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
   * Clock for the age of keys, metadata and failures, in milliseconds. It must never go back. Default:
   * `performance.now`.
   */
  monotonicNow?: (() => number) | undefined;
  /**
   * Wall clock, in milliseconds since 1970. Where it moves ahead of `monotonicNow`, which can stand
   * still while a machine sleeps, ages grow too. Default: `Date.now`; none with a `monotonicNow`.
   */
  now?: (() => number) | undefined;
}

/** One issuer, as a relying party sees it. Nothing is fetched before it is needed. */
export interface Issuer {
  readonly issuerBaseURL: string;
  /** True if it was made with this option. */
  readonly unsafeAllowHTTP: boolean;
  /** The client for requests to it, with its limits, proxy and certificate authorities. */
  readonly http: HttpClient;
  /** Returns the issuer's metadata. @throws IssuerError with status 503 */
  metadata(): Promise<AuthorizationServerMetadata>;
  /**
   * Finds the key for a token's header; the first one, if several have its name.
   *
   * @throws IssuerError `ERR_SIGNING_KEY_NOT_FOUND` when the issuer has none, with status 503 when the
   *   keys are not available
   */
  signingKey(header: KeyHeader): Promise<SigningKey>;
  /**
   * Finds all keys for a token's header, at most four. A signature is right if one of them verifies it.
   * @throws as `signingKey`
   */
  signingKeys(header: KeyHeader): Promise<readonly SigningKey[]>;
  /**
   * Fetches metadata and keys if none are held, so that the first request need not wait.
   * @throws IssuerError with status 503
   */
  ready(): Promise<void>;
  /**
   * Reports, without waiting, whether the held keys contain this one. Keeps them fresh as `signingKey`
   * does. Returns false when no usable keys are held.
   */
  hasKey(key: SigningKey): boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_TIMER_MS = 2 ** 31 - 1;
const MAX_DRIFT_MS = 1000;

/**
 * Makes an issuer from its identifier. Metadata and keys are fetched at first use, shared by all
 * callers, and refreshed in the background. While the issuer is down they are used for `maxStale` more.
 *
 * @throws InvalidOptions when an address is not an `https` URL (`http` on loopback), the key set has no
 *   usable key, or a limit is not a number of milliseconds
 * @example
 * const issuer = createIssuer({ issuerBaseURL: 'https://tenant.example.com/' });
 * const { token_endpoint } = await issuer.metadata();
 * const { key } = await issuer.signingKey({ alg: 'RS256', kid: 'key-1' });
 */
export function createIssuer(options: IssuerOptions): Issuer {
  return new FetchedIssuer(options ?? {});
}

class FetchedIssuer implements Issuer {
  readonly issuerBaseURL: string;
  readonly unsafeAllowHTTP: boolean;
  readonly http: HttpClient;
  /** Metadata that the options replace. */
  readonly #given: AuthorizationServerMetadata | undefined;
  readonly #published: KeptFresh<AuthorizationServerMetadata>;
  readonly #keys: JwkSet;
  readonly #emit: (event: IssuerEvent) => void;

  constructor(options: IssuerOptions) {
    const { issuerBaseURL, metadataURL, jwksURL, jwks, unsafeAllowHTTP = false } = options;
    const { timeout = 5000, maxStale = DAY_MS, cooldown = 10_000, monotonicNow } = options;
    const { onEvent = createPrinter(printedLine), now = monotonicNow ?? Date.now } = options;
    checkOptions(options, { timeout, maxStale, cooldown });
    this.issuerBaseURL = issuerBaseURL;
    this.unsafeAllowHTTP = unsafeAllowHTTP;
    this.http = createHttpClient({ timeout, ...options.http });
    this.#emit = createEmitter(ISSUER_CHANNEL, onEvent);
    if (jwks || jwksURL) {
      this.#given = { issuer: issuerBaseURL, ...(jwksURL !== undefined && { jwks_uri: jwksURL }) };
    }
    const ages = {
      monotonicNow: countSleep(monotonicNow ?? (() => performance.now()), now),
      maxStale,
    };
    const rules = { issuerBaseURL, metadataURL, unsafeAllowHTTP };
    this.#published = new KeptFresh({
      ...ages,
      ...this.#reportsOf('metadata'),
      fetch: () => fetchMetadata(rules, (url) => fetchJson(url, this.http)),
    });
    this.#keys = new JwkSet({
      ...ages,
      ...this.#reportsOf('keys'),
      cooldown,
      fetch: async () =>
        jwks ? { status: 200, body: readKeySet(jwks), maxAge: DAY_MS } : this.#fetchPublishedKeys(),
      onRefreshed: (all) => {
        const { size } = new Set(all.map(({ key }) => key));
        this.#report({ type: 'keys_refreshed', keys: size });
      },
      onLeftOut: (leftOut) => this.#report({ type: 'keys_left_out', leftOut }),
    });
  }

  metadata(): Promise<AuthorizationServerMetadata> {
    return this.#given ? Promise.resolve(this.#given) : this.#published.get().catch(throwCopy);
  }

  async signingKey(header: KeyHeader): Promise<SigningKey> {
    return (await this.signingKeys(header))[0] as SigningKey;
  }

  signingKeys(header: KeyHeader): Promise<readonly SigningKey[]> {
    return this.#keys.find(header).catch(throwCopy);
  }

  async ready(): Promise<void> {
    await this.#keys.ready().catch(throwCopy);
    await this.metadata();
  }

  hasKey(key: SigningKey): boolean {
    return this.#keys.has(key);
  }

  async #fetchPublishedKeys(): Promise<FetchedJson> {
    const { jwks_uri } = await this.metadata();
    return fetchJson(jwks_uri as string, this.http);
  }

  #reportsOf(
    what: 'metadata' | 'keys',
  ): Pick<Required<KeptFreshOptions<unknown>>, 'onFailed' | 'onStale'> {
    return {
      onFailed: (error) => {
        const { detail = String(error) } = error as Partial<IssuerError>;
        this.#report({ type: 'refresh_failed', what, detail });
      },
      onStale: (ageMs) => this.#report({ type: 'stale_used', what, ageMs }),
    };
  }

  #report(change: IssuerChange): void {
    this.#emit({ ...change, issuer: this.issuerBaseURL });
  }
}

function checkOptions(
  { issuerBaseURL, metadataURL, jwksURL, jwks, unsafeAllowHTTP, ...others }: IssuerOptions,
  limits: Record<string, unknown>,
): void {
  const { timeout, maxStale, cooldown, http, onEvent, monotonicNow, now, ...unknown } = others;
  const faults = unknownOptions(unknown);
  const check = (parse: () => unknown) => {
    try {
      parse();
    } catch (error) {
      faults.push((error as Error).message);
    }
  };
  if (unsafeAllowHTTP !== undefined && typeof unsafeAllowHTTP !== 'boolean') {
    faults.push('unsafeAllowHTTP must be true or false');
  }
  check(() => parseIssuerIdentifier(issuerBaseURL, unsafeAllowHTTP === true));
  for (const [name, value] of Object.entries({ metadataURL, jwksURL })) {
    if (value !== undefined && !isAddress(value, unsafeAllowHTTP === true)) {
      faults.push(`${name} must be a URL with https (http only on a loopback address)`);
    }
  }
  if (jwks !== undefined) check(() => checkKeySet(jwks));
  if ([metadataURL, jwksURL, jwks].filter((given) => given !== undefined).length > 1) {
    faults.push('give only one of metadataURL, jwksURL and jwks');
  }
  for (const [name, value] of Object.entries(limits)) {
    const min = name === 'timeout' ? 1 : 0;
    if (typeof value !== 'number' || !(value >= min && value <= MAX_TIMER_MS)) {
      faults.push(`${name} must be ${min} to ${MAX_TIMER_MS} milliseconds`);
    }
  }
  if (faults.length > 0) throw new InvalidOptions(faults.join('; '));
}

function isAddress(value: unknown, unsafeAllowHTTP: boolean): boolean {
  const url = parseURL(value);
  if (!url || /[\s#]/.test(String(value))) return false;
  return isSecureURL(url, unsafeAllowHTTP) && !url.username && !url.password;
}

// A key set that is given is read as one that is fetched.
function readKeySet(jwks: { readonly keys: readonly object[] }): { keys?: unknown } | null {
  return parseJson(JSON.stringify(jwks)) as { keys?: unknown } | null;
}

// An unusable set is reported at the start, because no later fetch replaces it.
function checkKeySet(jwks: { readonly keys: readonly object[] }): void {
  const reasons: string[] = [];
  let keys: unknown;
  try {
    keys = readKeySet(jwks)?.keys;
  } catch (cause) {
    throw new Error('jwks must be JSON, without a BigInt or a cycle', { cause });
  }
  for (const jwk of Array.isArray(keys) ? keys : []) {
    try {
      importPublishedJwk(checkPublicJwk(jwk).jwk);
      return;
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  const found = reasons.length > 0 ? `, not one that is ${reasons.join(' or ')}` : '';
  throw new Error(`jwks must be { keys: […] } with a public key for signatures${found}`);
}

// A monotonic clock stands still while a machine or a function sleeps, and keys must not stay young. The
// wall clock counts only where it moves ahead: setting it back must not keep them young either.
function countSleep(monotonicNow: () => number, now: () => number): () => number {
  let offset = now() - monotonicNow();
  let slept = 0;
  return () => {
    const monotonic = monotonicNow();
    const ahead = now() - monotonic - offset;
    if (ahead > MAX_DRIFT_MS) slept += ahead;
    if (ahead > MAX_DRIFT_MS || ahead < 0) offset += ahead;
    return monotonic + slept;
  };
}

// Many requests wait for one fetch. Each gets its own error, because the handler that answers a request
// may change it.
function throwCopy(error: unknown): never {
  if (!(error instanceof IssuerError) || error.status === undefined) throw error;
  const { code, detail } = error;
  throw new IssuerError(code, { detail, cause: error });
}
