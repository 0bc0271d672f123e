import { isSecureURL, parseURL } from '@koa-oauth/issuer';
import { asOptions, type OptionFaults } from '../option-faults.ts';
import { type ExpiringSet, memorySet } from '../stores/expiring-set.ts';
import type { TokenProfile } from '../token/jwt-access-token.ts';
import { type Algorithm, algorithmsOf, areAlgorithmsOf } from '../token/signature.ts';
import { normalizeHttpURI } from './http-uri.ts';
import type { ProofOptions } from './proof-verifier.ts';

/** Options of `auth({ dpop })` (RFC 9449). Only `baseURL` is required. */
export interface DpopOptions {
  /** Public address at which clients reach the path `/` of this server. Proofs name the public address. */
  baseURL: string;
  /**
   * True rejects tokens that are not bound to a key; false accepts them as bearer tokens. Default: false, or
   * true with the profile `fapi2`.
   */
  required?: boolean | undefined;
  /** True rejects proofs without a nonce of this server (RFC 9449 §9). Default: false */
  nonce?: boolean | undefined;
  /** Accepted algorithms of proofs. Default: all of `Algorithm`, or those of FAPI. */
  algorithms?: readonly Algorithm[] | undefined;
  /** Used proofs. All processes of the API must share it. Default: `memorySet()`, for one process. */
  store?: ExpiringSet | undefined;
}

/** Checked options: those of the proofs, and whether tokens must be bound. */
export interface CheckedDpopOptions
  extends Pick<ProofOptions, 'baseURL' | 'algorithms' | 'store' | 'nonce'> {
  readonly required: boolean;
}

/** Checks the option `dpop`. */
export function checkDpopOptions(
  options: unknown,
  { profile, now, faults }: { profile: TokenProfile; now: () => number; faults: OptionFaults },
): CheckedDpopOptions {
  const isFapi = profile === 'fapi2';
  const given = asOptions<Partial<DpopOptions>>(options);
  const { baseURL, required = isFapi, nonce = false, store, ...others } = given;
  const { algorithms = algorithmsOf(profile), ...unknown } = others;
  // Clients write an international name in ASCII.
  const publicURL = isBaseURL(baseURL) ? new URL(baseURL).href : '';
  const address = normalizeHttpURI(publicURL)?.replace(/\/$/, '');
  faults.add(
    address === undefined,
    'dpop.baseURL must be the public address of this API, such as https://api.example.com (http only on a loopback address)',
  );
  faults.add(
    !areAlgorithmsOf(profile, algorithms),
    `dpop.algorithms must be some of ${algorithmsOf(profile)}`,
  );
  faults.add(isFapi && !required, 'dpop.required must be true with the profile fapi2');
  for (const [name, value] of Object.entries({ required, nonce })) {
    faults.add(typeof value !== 'boolean', `dpop.${name} must be true or false`);
  }
  if (store !== undefined) faults.addStore('dpop.store', store, ['add', 'sharedSecret']);
  faults.addUnknown(unknown, 'dpop.');
  return {
    baseURL: address ?? '',
    algorithms: Array.isArray(algorithms) ? [...algorithms] : [],
    required,
    nonce,
    store: store ?? memorySet({ now }),
  };
}

function isBaseURL(value: unknown): value is string {
  const url = parseURL(value);
  return url !== undefined && isSecureURL(url) && !/[?#]/.test(url.href);
}
