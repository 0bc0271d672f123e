import type { StateStore } from '../state/memory.ts';

/** First and last use of a session or refresh token, as in `event.session.device`. */
export type Device = Readonly<
  Partial<Record<`${'initial' | 'last'}_${'asn' | 'ip' | 'user_agent'}`, string>>
>;

/** Expiry and metadata of a session or a refresh token; times in epoch milliseconds. */
export interface Terms {
  readonly expiresAt?: number;
  /** Expiry unless it is used before. */
  readonly idleExpiresAt?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Changes that Actions requested with `api.session` or `api.refreshToken`. */
export interface TermChanges extends Terms {
  readonly cookieMode?: CookieMode;
  readonly revoked?: { readonly preserveRefreshTokens: boolean };
}

/** Facts that are stored for a session, or for a refresh token with its grant. */
export interface StoredTerms extends Terms {
  readonly device: Device;
  /** The last use, in epoch milliseconds. */
  readonly usedAt: number;
}

type CookieMode = 'persistent' | 'non-persistent';

/** Facts of a request that uses a session or a refresh token. */
interface Use {
  readonly ip: string;
  readonly user_agent: string;
  readonly asn?: string | undefined;
}

interface TermsMethodParts {
  /** The whole `api`, which the methods return. */
  readonly api: object;
  readonly part: 'session' | 'refreshToken';
  /** Reads and replaces the changes of this run. */
  readonly read: () => TermChanges;
  readonly write: (changes: TermChanges) => void;
  /** Metadata before this run. */
  readonly metadata: Readonly<Record<string, string>> | undefined;
}

const KIND = 'SessionTerms';
const REVOKED = 'RevokedSession';

/** Auth0's limits ("Session Metadata", "Refresh Token Metadata"). */
const MAX_METADATA_ENTRIES = 25;
const METADATA_KEY = /^(?!__proto__$)[\w-]{1,255}$/;
const MAX_METADATA_LENGTH = 255;

/** Stores the expiry and metadata that Actions set for sessions; the engine's record cannot have them. */
export class SessionTerms {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  /** @param uid the engine's id of a session; a new cookie does not change it. */
  find(uid: string): StoredTerms | undefined {
    return this.#store.read(KIND, uid)?.content as StoredTerms | undefined;
  }

  /** @param lifetime seconds, at least those of the session. */
  write(uid: string, terms: StoredTerms, lifetime: number): void {
    this.#store.write(KIND, uid, terms, lifetime);
  }

  /** Ends the refresh tokens of a session. The record stays, because some of them never expire. */
  revokeRefreshTokens(uid: string): void {
    this.#store.write(REVOKED, uid, {});
  }
}

/** Checks whether an Action revoked the session with its refresh tokens. */
export function isSessionRevoked(store: StateStore, uid: unknown): boolean {
  return typeof uid === 'string' && store.read(REVOKED, uid) !== undefined;
}

/** Returns the facts after a use, which ends an earlier idle time. */
export function afterUse(stored: StoredTerms | undefined, use: Use): StoredTerms {
  const { idleExpiresAt: _ended, ...kept } = stored ?? { device: {} };
  const seen = (when: 'initial' | 'last'): Device => ({
    [`${when}_ip`]: use.ip,
    [`${when}_user_agent`]: use.user_agent,
    ...(use.asn && { [`${when}_asn`]: use.asn }),
  });
  const device = { ...seen('initial'), ...stored?.device, ...seen('last') };
  return { ...kept, device, usedAt: Date.now() };
}

/** Returns the facts with the changes of a run. An expiry can only become earlier. */
export function withChanges(terms: StoredTerms, changes: TermChanges | undefined): StoredTerms {
  if (changes === undefined) return terms;
  const { expiresAt, idleExpiresAt, metadata } = changes;
  return {
    ...terms,
    ...(expiresAt !== undefined && { expiresAt: earlier(terms.expiresAt, expiresAt) }),
    ...(idleExpiresAt !== undefined && { idleExpiresAt }),
    ...(metadata && { metadata }),
  };
}

/** Returns the methods that `api.session` and `api.refreshToken` share ("post-login, API object"). */
export function termsMethods({ api, part, read, write, metadata }: TermsMethodParts) {
  const change = (changes: TermChanges): object => {
    write({ ...read(), ...changes });
    return api;
  };
  const current = () => read().metadata ?? metadata ?? {};
  const time = (method: string, value: unknown): number => {
    // A computed time can be too far in the past for a JavaScript Date.
    if (typeof value === 'number' && Number.isFinite(value)) return Math.max(value, 0);
    throw new Error(`api.${part}.${method}: give a time in milliseconds since 1970`);
  };
  const without = (key: unknown) =>
    Object.fromEntries(Object.entries(current()).filter(([name]) => name !== key));
  return {
    setExpiresAt: (absolute: unknown) =>
      change({ expiresAt: earlier(read().expiresAt, time('setExpiresAt', absolute)) }),
    setIdleExpiresAt: (idle: unknown) =>
      change({ idleExpiresAt: earlier(read().idleExpiresAt, time('setIdleExpiresAt', idle)) }),
    setMetadata(key: unknown, value: unknown) {
      if (value === null) return change({ metadata: without(key) });
      const changed = { ...current(), [String(key)]: value as string };
      const fault = metadataFault(key, value, changed);
      if (fault !== undefined) throw new Error(`api.${part}.setMetadata: ${fault}`);
      return change({ metadata: changed });
    },
    deleteMetadata: (key: unknown) => change({ metadata: without(key) }),
    evictMetadata: () => change({ metadata: {} }),
  };
}

function metadataFault(key: unknown, value: unknown, changed: object): string | undefined {
  if (typeof key !== 'string' || !METADATA_KEY.test(key)) {
    return 'a key has at most 255 letters, digits, _ and -';
  }
  if (typeof value !== 'string' || value.length > MAX_METADATA_LENGTH) {
    return `"${key}" must be a text of at most ${MAX_METADATA_LENGTH} characters`;
  }
  if (Object.keys(changed).length > MAX_METADATA_ENTRIES) {
    return `there are at most ${MAX_METADATA_ENTRIES} keys`;
  }
  return undefined;
}

function earlier(one: number | undefined, other: number): number {
  return Math.min(one ?? Number.POSITIVE_INFINITY, other);
}
