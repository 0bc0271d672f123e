import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { answerInTime, isSameIssuer, parseIssuerIdentifier } from '@koa-oauth/issuer';
import { LRUCache } from 'lru-cache';
import { AuthError, InvalidTokenError, unavailable } from '../errors.ts';
import type { TrustedIssuer, TrustedIssuerOptions } from './trusted-issuer.ts';

/**
 * Finds the options of an issuer that a database knows, such as a tenant's. It is called for each token,
 * before the signature is verified: look `iss` up as it is, and never make an address from it.
 *
 * It must answer within 2 seconds; a failure is 503. Undefined rejects the token. The options must name
 * the issuer `iss` itself. Equal options keep its keys.
 *
 * @example
 * const resolve: IssuerResolver<unknown, Context> = async (iss, ctx) => {
 *   const tenant = await tenants.findByHost(ctx.hostname);
 *   return tenant && { issuerBaseURL: tenant.issuer, audience: tenant.api };
 * };
 */
export type IssuerResolver<Claims, Requested> = (
  iss: string,
  ctx: Requested,
) => TrustedIssuerOptions<Claims> | undefined | Promise<TrustedIssuerOptions<Claims> | undefined>;

/** Options of `ResolvedIssuers`. */
export interface ResolvedIssuersOptions<Claims> {
  readonly resolve: IssuerResolver<Claims, never>;
  /** Makes an issuer of options. @throws InvalidOptions */
  readonly make: (options: TrustedIssuerOptions<Claims>) => TrustedIssuer<Claims>;
  /** True: the resolver is also called for issuers on `http` and in private networks. */
  readonly unsafeAllowHTTP: boolean;
}

interface Entry<Claims> {
  readonly options: TrustedIssuerOptions<Claims>;
  readonly trusted: TrustedIssuer<Claims>;
}

const MAX_ISSUERS = 1000;
/** Maximum kept options of one issuer, such as one audience for each host. */
const MAX_OPTIONS = 16;
const MAX_ISSUER_LENGTH = 512;

/** Issuers that a resolver knows. Those used last are kept, with their keys. */
export class ResolvedIssuers<Claims> {
  readonly #options: ResolvedIssuersOptions<Claims>;
  readonly #entries = new LRUCache<string, readonly Entry<Claims>[]>({
    max: MAX_ISSUERS,
  });

  constructor(options: ResolvedIssuersOptions<Claims>) {
    this.#options = options;
  }

  /** Number of kept issuers. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Finds the issuer that a token names.
   *
   * @param ctx second parameter of the resolver
   * @throws InvalidTokenError `issuer`, or `claim` without an `iss`; AuthError `ERR_ISSUERS_UNAVAILABLE`
   *   (503)
   */
  async find(iss: unknown, ctx: unknown): Promise<TrustedIssuer<Claims>> {
    if (typeof iss !== 'string') throw new InvalidTokenError('claim', '"iss" is not a string');
    checkIdentifier(iss, this.#options.unsafeAllowHTTP);
    const options = await this.#resolve(iss, ctx);
    if (options === undefined) throw new InvalidTokenError('issuer', 'the resolver has no options');
    const kept = this.#findKept(iss, options);
    if (kept) return kept;
    const trusted = this.#make(options);
    if (!isSameIssuer(trusted.issuer.issuerBaseURL, iss)) {
      throw new InvalidTokenError('issuer', `expected "${trusted.issuer.issuerBaseURL}"`);
    }
    if (!this.#entries.has(iss)) await this.#refuseEcho(iss, ctx);
    // Another request may have added it meanwhile.
    return this.#findKept(iss, options) ?? this.#add(iss, options, trusted);
  }

  #findKept(iss: string, options: TrustedIssuerOptions<Claims>): TrustedIssuer<Claims> | undefined {
    return this.#entries.get(iss)?.find((each) => isSame(each.options, options))?.trusted;
  }

  // Options can differ between requests, and a schema can be a new object each time. Options with the same
  // addresses share their keys: otherwise each token, even a forged one, could cause a fetch.
  #add(
    iss: string,
    options: TrustedIssuerOptions<Claims>,
    made: TrustedIssuer<Claims>,
  ): TrustedIssuer<Claims> {
    const others = this.#entries.get(iss) ?? [];
    const addresses = addressesOf(options);
    const same = others.find((each) => isDeepStrictEqual(addressesOf(each.options), addresses));
    const trusted = same ? Object.freeze({ ...made, issuer: same.trusted.issuer }) : made;
    const entry = { options: snapshot(options), trusted };
    this.#entries.set(iss, [entry, ...others].slice(0, MAX_OPTIONS));
    return trusted;
  }

  async #resolve(iss: string, ctx: unknown): Promise<TrustedIssuerOptions<Claims> | undefined> {
    try {
      return (await answerInTime(this.#options.resolve(iss, ctx as never))) ?? undefined;
    } catch (cause) {
      throw unavailable('ERR_ISSUERS_UNAVAILABLE', 'issuers', cause);
    }
  }

  #make(options: TrustedIssuerOptions<Claims>): TrustedIssuer<Claims> {
    try {
      return this.#options.make(options);
    } catch (cause) {
      const { message } = cause as Error;
      throw new AuthError('ERR_ISSUERS_UNAVAILABLE', { detail: message, cause });
    }
  }

  // A resolver that makes the address from `iss` trusts everyone, and lets everyone choose what is
  // fetched. To detect it, it is called with an issuer that looks alike and that no resolver can know: no
  // name under "invalid" exists (RFC 6761 §6.4).
  async #refuseEcho(iss: string, ctx: unknown): Promise<void> {
    const url = new URL(iss);
    const host = `${url.hostname}.${randomBytes(8).toString('hex')}.invalid`;
    const made = iss.replace(/^(https?:\/\/)[^/]*/, `$1${host}`);
    const answer = await this.#resolve(made, ctx);
    const named = answer?.issuerBaseURL ?? answer?.issuer?.issuerBaseURL;
    if (typeof named !== 'string' || !isSameIssuer(named, made)) return;
    throw new AuthError('ERR_ISSUERS_UNAVAILABLE', {
      detail: 'issuers answers with the address in the token: it must look up what it trusts',
    });
  }
}

// The token is not verified yet: its `iss` must not lead the resolver into a private network.
function checkIdentifier(iss: string, unsafeAllowHTTP: boolean): void {
  if (iss.length > MAX_ISSUER_LENGTH) throw new InvalidTokenError('issuer', 'it is too long');
  let url: URL;
  try {
    url = parseIssuerIdentifier(iss, unsafeAllowHTTP);
  } catch {
    throw new InvalidTokenError('issuer', 'it is not an https URL');
  }
  if (!unsafeAllowHTTP && !isPublicName(url.hostname)) {
    throw new InvalidTokenError('issuer', 'its host is not a public name');
  }
}

const PRIVATE_NAMES = /(?:^|\.)(?:localhost|local|internal|intranet|lan|home\.arpa|invalid)$/;

/** Reports whether a host is a name of the public DNS: no address, no single word, none for private use. */
function isPublicName(hostname: string): boolean {
  const name = hostname.replace(/\.$/, '');
  return name.includes('.') && !name.startsWith('[') && !isIP(name) && !PRIVATE_NAMES.test(name);
}

/** Returns the options that decide which keys an issuer has. */
function addressesOf<Claims>(options: TrustedIssuerOptions<Claims>) {
  const { issuer, issuerBaseURL, metadataURL, jwksURL, jwks, unsafeAllowHTTP } = options;
  return { issuer, issuerBaseURL, metadataURL, jwksURL, jwks, unsafeAllowHTTP };
}

/** Reports whether options are the same, so that an issuer made of them can be used again. */
function isSame<Claims>(
  kept: TrustedIssuerOptions<Claims>,
  given: TrustedIssuerOptions<Claims>,
): boolean {
  const { claims, issuer, ...plain } = kept;
  const { claims: otherClaims, issuer: otherIssuer, ...otherPlain } = given;
  return (
    issuer === otherIssuer &&
    claims?.namespace === otherClaims?.namespace &&
    claims?.schema === otherClaims?.schema &&
    isDeepStrictEqual(plain, otherPlain)
  );
}

// The resolver may change its own objects later.
function snapshot<Claims>(options: TrustedIssuerOptions<Claims>): TrustedIssuerOptions<Claims> {
  const { claims, issuer, ...plain } = options;
  return { ...structuredClone(plain), claims: claims && { ...claims }, issuer };
}
