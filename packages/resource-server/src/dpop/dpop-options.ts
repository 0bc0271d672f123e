import { isSecureURL, parseURL } from '@koa-oauth/issuer';
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

/** Checks the option `dpop`. @param fault collects each fault */
export function checkDpopOptions(
  options: unknown,
  {
    profile,
    now,
    fault,
  }: {
    profile: TokenProfile;
    now: () => number;
    fault: (isWrong: boolean, text: string) => void;
  },
): CheckedDpopOptions {
  const given = (
    typeof options === 'object' && options !== null ? options : {}
  ) as Partial<DpopOptions>;
  const isFapi = profile === 'fapi2';
  const { baseURL, required = isFapi, nonce = false, store, ...others } = given;
  const { algorithms = algorithmsOf(profile), ...unknown } = others;
  // Clients write an international name in ASCII.
  const publicURL = isBaseURL(baseURL) ? new URL(baseURL).href : '';
  const address = normalizeHttpURI(publicURL)?.replace(/\/$/, '');
  fault(
    address === undefined,
    'dpop.baseURL must be the public address of this API, such as https://api.example.com (http only on a loopback address)',
  );
  fault(
    !areAlgorithmsOf(profile, algorithms),
    `dpop.algorithms must be some of ${algorithmsOf(profile)}`,
  );
  fault(isFapi && !required, 'dpop.required must be true with the profile fapi2');
  for (const [name, value] of Object.entries({ required, nonce })) {
    fault(typeof value !== 'boolean', `dpop.${name} must be true or false`);
  }
  const methods = ['add', 'sharedSecret'] as const;
  fault(
    store !== undefined && methods.some((name) => typeof store?.[name] !== 'function'),
    'dpop.store must be made with memorySet, redisSet or postgresSet, or have the same methods',
  );
  const unknownNames = Object.keys(unknown);
  fault(unknownNames.length > 0, `unknown: ${unknownNames.map((name) => `dpop.${name}`)}`);
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
