import {
  type AuthorizationServerMetadata,
  fetchMetadata,
} from './authorization-server-metadata.ts';
import { fetchJson } from './fetch-json.ts';
import { parseIssuerIdentifier } from './issuer-identifier.ts';
import { JwkSet, type KeyHeader, type LeftOutKey, type SigningKey } from './jwk-set.ts';
import { KeptFresh } from './kept-fresh.ts';

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
  /** Told of keys in the issuer's set that can't be used, and why. */
  onLeftOut?: (keys: readonly LeftOutKey[]) => void;
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
  /** Whether a key is still among the issuer's. */
  hasKey(key: SigningKey): boolean;
}

const MAX_BYTES = 512 * 1024;
const DAY = 24 * 60 * 60 * 1000;

/**
 * Makes an issuer from its identifier. Metadata and keys are fetched at first use, shared by all
 * callers, kept fresh in the background, and used on while the issuer is down.
 *
 * @throws InvalidOptions when the identifier is no `https` URL (`http` on loopback)
 */
export function createIssuer({
  issuerBaseURL,
  timeout = 5000,
  maxStale = DAY,
  cooldown = 10_000,
  now = Date.now,
  onLeftOut,
}: IssuerOptions): Issuer {
  parseIssuerIdentifier(issuerBaseURL);
  const fetch = (url: string) => fetchJson(url, { timeout, maxBytes: MAX_BYTES });
  const metadata = new KeptFresh({
    fetch: () => fetchMetadata(issuerBaseURL, fetch),
    now,
    maxStale,
  });
  const keys = new JwkSet({
    fetch: async () => fetch((await metadata.get()).jwks_uri),
    now,
    maxStale,
    cooldown,
    onLeftOut,
  });
  return {
    issuerBaseURL,
    metadata: () => metadata.get(),
    signingKey: (header) => keys.find(header),
    hasKey: (key) => keys.has(key),
  };
}
