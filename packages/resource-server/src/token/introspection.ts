import { hash } from 'node:crypto';
import {
  authenticateClient,
  type ClientCredentials,
  type ClientOptions,
  checkClientOptions,
  type HttpAnswer,
  type Issuer,
} from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';
import { AuthError } from '../errors.ts';
import { asOptions, type OptionFaults } from '../option-faults.ts';
import {
  acceptFor,
  checkSignedResponse,
  type Introspected,
  judgeResponse,
  readResponse,
  UnusableResponse,
} from './introspection-response.ts';
import { isSignedWith, type VerifySignature } from './signature.ts';

/** Options for opaque tokens: authentication of this API at the issuer, and use of the answers. */
export interface IntrospectionOptions extends ClientOptions {
  clientAuthMethod?: Exclude<ClientOptions['clientAuthMethod'], 'none'>;
  /**
   * Milliseconds for which an answer is used, never past `exp`: a revoked token can be accepted for so long.
   * 0 to 300,000. Default: 30,000.
   */
  maxAge?: number | undefined;
  /**
   * Accepts answers without `aud`. Set it only if the issuer calls a token inactive that is for another
   * API: otherwise such a token is accepted here. Default: false.
   */
  unsafeMissingAudience?: boolean | undefined;
  /** Clock for the age of answers, in milliseconds. It must never go back. Default: `performance.now`. */
  monotonicNow?: (() => number) | undefined;
}

/** Checked options of `auth({ introspection })`. */
export interface CheckedIntrospection {
  readonly credentials: ClientCredentials;
  readonly maxAge: number;
  readonly unsafeMissingAudience: boolean;
  readonly monotonicNow: () => number;
}

const MAX_AGE_LIMIT_MS = 300_000;
const CLIENT_NAMES: readonly string[] = [
  ...['clientID', 'clientSecret', 'clientAuthMethod'],
  ...['clientAssertionSigningKey', 'clientAssertionSigningAlg'],
];

/**
 * Checks the options.
 *
 * @param isFapi true: the FAPI 2.0 Security Profile allows no secrets
 */
export function checkIntrospectionOptions(
  options: unknown,
  isFapi: boolean,
  faults: OptionFaults,
): CheckedIntrospection {
  const {
    maxAge = 30_000,
    unsafeMissingAudience = false,
    monotonicNow = () => performance.now(),
    ...client
  } = asOptions<IntrospectionOptions>(options);
  const checked = checkClientOptions(client, isFapi);
  const { credentials } = checked;
  for (const text of checked.faults) faults.add(true, text);
  faults.add(
    credentials.clientAuthMethod === 'none',
    'an API authenticates with a secret or a key',
  );
  const isAge = typeof maxAge === 'number' && maxAge >= 0 && maxAge <= MAX_AGE_LIMIT_MS;
  faults.add(!isAge, `maxAge must be 0 to ${MAX_AGE_LIMIT_MS} milliseconds`);
  const isFlag = typeof unsafeMissingAudience === 'boolean';
  faults.add(!isFlag, 'unsafeMissingAudience must be true or false');
  faults.add(
    isFapi && unsafeMissingAudience === true,
    'unsafeMissingAudience contradicts the profile fapi2',
  );
  faults.add(typeof monotonicNow !== 'function', 'monotonicNow must be a function');
  const unknown = Object.entries(client).filter(([name]) => !CLIENT_NAMES.includes(name));
  faults.addUnknown(Object.fromEntries(unknown));
  return Object.freeze({ credentials, maxAge, unsafeMissingAudience, monotonicNow });
}

/** Parts of `Introspection`. */
export interface IntrospectionParts
  extends Pick<CheckedIntrospection, 'credentials' | 'maxAge' | 'monotonicNow'> {
  readonly issuer: Issuer;
  /** Identifiers of this API. `aud` of a signed answer must name one of them, or the client id. */
  readonly audience: readonly string[];
  /** Accepted algorithms of a signed answer. */
  readonly algorithms: readonly string[];
  readonly clockTolerance: number;
  readonly verifySignature: VerifySignature;
  readonly now: () => number;
}

/** An answer of the issuer. */
export interface Found {
  /** Undefined when the token is not active. The same object for as long as the answer is cached. */
  readonly claims: Introspected | undefined;
  readonly cached: boolean;
}

interface Kept {
  readonly claims: Introspected | undefined;
  readonly size: number;
  /** Time of the question, by both clocks. */
  readonly askedAt: readonly [monotonic: number, wall: number];
}

/** A token that was just issued can be unknown to a replica of the issuer for a moment. */
const INACTIVE_MAX_AGE_MS = 5000;
const MAX_ENTRIES = 10_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** Made-up tokens must not take all sockets, or the issuer's time. */
const MAX_REQUESTS = 256;
const MAX_INACTIVE_PER_SECOND = 200;
const MAX_PAUSE_SECONDS = 30;

/**
 * Asks the issuer what a token means (RFC 7662), at most once at a time for each token, and caches the
 * answer by a hash of the token. Times, binding and revocation can change: the caller must check them on
 * every hit.
 */
export class Introspection {
  readonly #parts: IntrospectionParts;
  readonly #asked = new Map<string, Promise<Kept>>();
  // A separate cache, so that made-up tokens evict no valid one.
  readonly #active = new LRUCache<string, Kept>({
    max: MAX_ENTRIES,
    maxSize: MAX_BYTES,
    sizeCalculation: ({ size }) => 512 + 5 * size,
  });
  readonly #inactive = new LRUCache<string, Kept>({ max: MAX_ENTRIES });
  /** Inactive tokens in the second that ends then, by the monotonic clock. */
  #counted = { until: Number.NEGATIVE_INFINITY, inactive: 0 };
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: IntrospectionParts) {
    this.#parts = parts;
  }

  /**
   * Returns what the issuer says about a token. Its claims are not checked yet.
   *
   * @throws AuthError `ERR_INTROSPECTION_UNAVAILABLE` (503) without an answer that can be used
   */
  async find(token: string): Promise<Found> {
    const key = hash('sha256', token, 'base64url');
    const kept = this.#findKept(key);
    if (kept !== undefined) return { claims: kept.claims, cached: true };
    // Many requests wait for one answer. Each gets its own error, because `auth` adds headers to it.
    const { claims } = await this.#askOnce(key, token).catch(throwUnavailable);
    return { claims, cached: false };
  }

  #findKept(key: string): Kept | undefined {
    const kept = this.#active.get(key) ?? this.#inactive.get(key);
    if (kept === undefined) return undefined;
    const { maxAge, now, monotonicNow } = this.#parts;
    const limit = kept.claims === undefined ? Math.min(maxAge, INACTIVE_MAX_AGE_MS) : maxAge;
    const [monotonic, wall] = kept.askedAt;
    // A monotonic clock can stand still while a machine sleeps.
    const age = Math.max(monotonicNow() - monotonic, now() - wall);
    const isOver = Number(kept.claims?.exp) * 1000 <= now();
    return age < limit && !isOver ? kept : undefined;
  }

  #askOnce(key: string, token: string): Promise<Kept> {
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked;
    // Made-up tokens must not keep out those that are in use: they are asked for again in any case.
    const fault = this.#active.has(key) ? undefined : this.#findLimit();
    if (fault !== undefined) return Promise.reject(new UnusableResponse(fault));
    const answer = this.#ask(token)
      .then((kept) => {
        if (kept.claims === undefined) this.#countInactive();
        const [cache, other] =
          kept.claims === undefined
            ? [this.#inactive, this.#active]
            : [this.#active, this.#inactive];
        other.delete(key);
        cache.set(key, kept);
        return kept;
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, answer);
    return answer;
  }

  /** Returns why the issuer is not asked about a token that it never called active. */
  #findLimit(): string | undefined {
    if (this.#asked.size >= MAX_REQUESTS) return `${MAX_REQUESTS} requests have no answer yet`;
    const now = this.#parts.monotonicNow();
    if (now < this.#pausedUntil) return 'the issuer asked for fewer requests';
    const { until, inactive } = this.#counted;
    const isOver = now < until && inactive >= MAX_INACTIVE_PER_SECOND;
    return isOver ? `${MAX_INACTIVE_PER_SECOND} tokens in a second were inactive` : undefined;
  }

  #countInactive(): void {
    const now = this.#parts.monotonicNow();
    if (now >= this.#counted.until) this.#counted = { until: now + 1000, inactive: 0 };
    this.#counted.inactive += 1;
  }

  /** Pauses when the issuer asks for it (RFC 6585 §4, RFC 9110 §15.6.4). */
  #obey({ status, headers }: HttpAnswer): void {
    if (status !== 429 && status !== 503) return;
    const seconds = Number(headers['retry-after'] ?? 1);
    const pause = seconds >= 1 ? Math.min(seconds, MAX_PAUSE_SECONDS) : 1;
    this.#pausedUntil = this.#parts.monotonicNow() + pause * 1000;
  }

  async #ask(token: string): Promise<Kept> {
    const { issuer, now, monotonicNow } = this.#parts;
    const metadata = await issuer.metadata();
    const { introspection_endpoint: endpoint } = metadata;
    if (endpoint === undefined) {
      throw new UnusableResponse('the metadata has no "introspection_endpoint"');
    }
    // The time before the request counts: the token may be revoked while the issuer answers.
    const askedAt = [monotonicNow(), now()] as const;
    const accept = acceptFor(metadata);
    const answer = await this.#send({ endpoint, issuer: metadata.issuer, accept, token });
    this.#obey(answer);
    const response = readResponse(answer);
    const members =
      'jwt' in response ? await this.#verify(response.jwt, metadata.issuer) : response.members;
    return { claims: judgeResponse(members), size: answer.body.length, askedAt };
  }

  async #send(request: {
    readonly endpoint: string;
    readonly issuer: string;
    readonly accept: string;
    readonly token: string;
  }): Promise<HttpAnswer> {
    const { issuer, credentials, now } = this.#parts;
    for (let attempt = 1; ; attempt += 1) {
      // An assertion can be used once.
      const client = authenticateClient(credentials, request.issuer, now() / 1000);
      const form = { token: request.token, token_type_hint: 'access_token', ...client.form };
      try {
        return await issuer.http(request.endpoint, {
          method: 'POST',
          headers: {
            accept: request.accept,
            'content-type': 'application/x-www-form-urlencoded',
            ...client.headers,
          },
          body: new URLSearchParams(form).toString(),
        });
      } catch (error) {
        const { code } = error as { code?: unknown };
        // A server may close an idle connection just when it is used again. The question can be repeated.
        if (attempt === 2 || (code !== 'ECONNRESET' && code !== 'EPIPE')) throw error;
      }
    }
  }

  /** Verifies a signed answer (RFC 9701 §5). */
  async #verify(jwt: string, issuer: string): Promise<unknown> {
    const { credentials, audience, algorithms, clockTolerance, now, verifySignature } = this.#parts;
    const { header, members } = checkSignedResponse(jwt, {
      issuer,
      algorithms,
      clientID: [credentials.clientID, ...audience],
      now: now() / 1000,
      clockTolerance,
    });
    for (const key of await this.#parts.issuer.signingKeys(header)) {
      if (await isSignedWith(key, jwt, verifySignature)) return members;
    }
    throw new UnusableResponse('the signature of the answer is wrong');
  }
}

function throwUnavailable(cause: { message?: string; detail?: string }): never {
  const detail = `introspection: ${cause.detail ?? cause.message}`;
  throw new AuthError('ERR_INTROSPECTION_UNAVAILABLE', { detail, cause });
}
