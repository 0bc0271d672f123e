import { answerInTime, isNoAnswer, type SigningKey } from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';
import { AuthError, unavailable } from '../errors.ts';
import type { AccessTokenClaims } from './jwt-access-token.ts';

/** Content of a verified access token. Frozen: requests with the same token share it. */
export interface Auth<Claims = unknown> {
  /** Empty for a token that was introspected. */
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: AccessTokenClaims;
  /** Identifier of its issuer. A user is `issuer` and `payload.sub`: two issuers can have the same `sub`. */
  readonly issuer: string;
  /** Scopes that the token grants (RFC 6749 §3.3). */
  readonly scopes: readonly string[];
  /** Custom claims without their prefix, as the schema returned them. */
  readonly claims: Claims;
}

/** Used part of Standard Schema 1 (standardschema.dev), which zod, valibot, arktype and others have. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly unknown[] | undefined;
      }[];
    };

/** Custom claims of an API: their prefix in the token, and their schema. */
export interface CustomClaims<Output> {
  /** Prefix of the claims' names in the token: a URL of your own, `https://contacts.example.com/`. */
  readonly namespace: string;
  /** Schema of an object that has the claims without their prefix. */
  readonly schema: StandardSchema<Output>;
}

/**
 * Makes the content of a verified token, with its custom claims.
 *
 * @throws as `readCustomClaims`
 */
export async function createAuth<Claims>(
  { header, payload, scopes }: Pick<Auth, 'header' | 'payload' | 'scopes'>,
  custom: CustomClaims<Claims> | undefined,
): Promise<Auth<Claims>> {
  const claims = custom ? await readCustomClaims(payload, custom) : (undefined as Claims);
  // The header of another token with the same text is frozen.
  if (!Object.isFrozen(header)) freezeParsed(header);
  freezeParsed(payload);
  if (isPlain(claims)) deepFreeze(claims);
  return Object.freeze({ header, payload, issuer: payload.iss, scopes, claims });
}

/**
 * Reads the custom claims of a verified token.
 *
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403) when they do not fit the schema; the token is genuine, so
 *   not 401. `ERR_CLAIMS_UNAVAILABLE` (503) when the schema does not answer in time
 */
export async function readCustomClaims<Output>(
  payload: Readonly<Record<string, unknown>>,
  { namespace, schema }: CustomClaims<Output>,
): Promise<Output> {
  const claims: Record<string, unknown> = Object.fromEntries(
    Object.entries(payload)
      .filter(([name]) => name.startsWith(namespace))
      .map(([name, value]) => [name.slice(namespace.length), value]),
  );
  const result = await validate(schema, claims);
  if (result.issues === undefined) return result.value;
  // Not the messages of the schema: they can quote a claim, and so name a person.
  const names = new Set(result.issues.map(({ path }) => nameOf(path?.[0])));
  throw new AuthError('ERR_CLAIM_MISMATCH', {
    message: 'a custom claim of the access token does not fit',
    detail: `the schema refused ${[...names].slice(0, 10).join(', ') || 'the claims'}`,
  });
}

async function validate<Output>(
  schema: StandardSchema<Output>,
  claims: unknown,
): Promise<SchemaResult<Output>> {
  try {
    return await answerInTime(schema['~standard'].validate(claims));
  } catch (error) {
    // A schema that throws is a fault of the app.
    throw isNoAnswer(error) ? unavailable('ERR_CLAIMS_UNAVAILABLE', 'the schema', error) : error;
  }
}

// A segment of the path is the name itself or an object that holds it. Deeper ones can be values.
function nameOf(segment: unknown): string {
  const key = typeof segment === 'object' ? (segment as { key?: unknown } | null)?.key : segment;
  return typeof key === 'string' && /^[\w.:/-]{1,60}$/.test(key) ? `"${key}"` : 'the claims';
}

// A value that was parsed from JSON has only lists and plain objects, and no cycle. The list grows instead of a
// recursion, because a token can nest deeper than the stack.
function freezeParsed(parsed: object): void {
  const found = [parsed];
  for (const object of found) {
    Object.freeze(object);
    for (const member of Object.values(object)) {
      if (typeof member === 'object' && member !== null) found.push(member);
    }
  }
}

// Freezes only lists and plain objects: a schema may return a Date or an object of the app. Its result
// can contain itself.
function deepFreeze(root: object): void {
  const found = new Set([root]);
  for (const object of found) {
    Object.freeze(object);
    for (const member of Object.values(object)) if (isPlain(member)) found.add(member);
  }
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}

/** Limits of the cache of verified tokens. */
export interface VerifiedTokensLimits {
  /** Maximum number of tokens. Default: 10,000 */
  maxEntries?: number | undefined;
  /** Maximum size of all tokens, estimated. Default: 32 MiB */
  maxBytes?: number | undefined;
}

/** Content of a verified token, the key that verified it, and the issuer with its rules. */
export interface VerifiedToken<Content, Trusted> {
  readonly auth: Content;
  readonly key: SigningKey;
  readonly trusted: Trusted;
}

interface Entry<Content, Trusted> {
  readonly token: string;
  readonly verified: VerifiedToken<Content, Trusted>;
}

/**
 * Cache of verified tokens. A token is found by its exact text, and only in the cache of the `auth` that
 * verified it, because another `auth` has other rules. Times, the issuer's keys and revocation can
 * change: the caller must check them on every hit.
 */
export class VerifiedTokens<Content, Trusted> {
  readonly #entries: LRUCache<string, Entry<Content, Trusted>>;
  readonly #seen = new SeenTokens();

  constructor({ maxEntries = 10_000, maxBytes = 32 * 1024 * 1024 }: VerifiedTokensLimits = {}) {
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      // The token and its decoded content, which takes several times as much.
      sizeCalculation: ({ token }) => 512 + 5 * token.length,
    });
  }

  get(token: string): VerifiedToken<Content, Trusted> | undefined {
    const entry = this.#entries.get(cacheKeyOf(token));
    return entry?.token === token ? entry.verified : undefined;
  }

  /**
   * Stores a token when it is added the second time. A token that is used once would replace one in
   * use, and cost time in the garbage collector.
   */
  add(token: string, verified: VerifiedToken<Content, Trusted>): void {
    if (!this.#seen.add(token)) return;
    // A slice of the header would keep the whole header in memory. A token is ASCII.
    const copy = Buffer.from(token, 'latin1').toString('latin1');
    this.#entries.set(cacheKeyOf(copy), { token: copy, verified });
  }

  /** Number of stored tokens. */
  get entries(): number {
    return this.#entries.size;
  }

  /** Estimated size, which `maxBytes` limits. */
  get bytes(): number {
    return this.#entries.calculatedSize;
  }
}

// The end of the signature: only a forged token has the same as another one. The whole token as key
// would be hashed, which costs more than the search and the comparison.
function cacheKeyOf(token: string): string {
  return token.slice(-32);
}

const SLOT_BITS = 16;

/**
 * Approximate memory of recent tokens, in a fixed 128 KiB. Each token has one slot, where it replaces
 * the token before. Two tokens can look the same, so the answer may decide whether to store a token,
 * never whether to trust it.
 */
class SeenTokens {
  readonly #marks = new Uint16Array(2 ** SLOT_BITS);

  /** Adds a token. @returns whether it was added before */
  add(token: string): boolean {
    // These characters are part of the signature, so they are as good as random.
    let hash = 0;
    for (let at = token.length - 16; at < token.length - 5; at += 1) {
      hash = Math.imul(hash ^ token.charCodeAt(at), 0x9e3779b1);
    }
    const slot = hash >>> (32 - SLOT_BITS);
    // An empty slot has 0.
    const mark = hash & 0xffff || 1;
    const seen = this.#marks[slot] === mark;
    this.#marks[slot] = mark;
    return seen;
  }
}
