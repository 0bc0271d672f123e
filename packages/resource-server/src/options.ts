import { createIssuer, InvalidOptions, type Issuer } from '@koa-oauth/issuer';
import type { CustomClaims } from './custom-claims.ts';
import type { TokenProfile } from './jwt-access-token.ts';
import { ALGORITHMS, type Algorithm } from './signature.ts';

export interface AuthOptions<Claims> {
  /** The issuer identifier; its metadata says where its keys are. Give this or `issuer`. */
  issuerBaseURL?: string;
  /** An issuer made with `createIssuer`, to share its keys or to set its limits. */
  issuer?: Issuer;
  /** This API's identifier, or several; `aud` must contain one. */
  audience: string | readonly string[];
  /** Accepted algorithms, default all asymmetric ones. */
  algorithms?: readonly Algorithm[];
  /** Which kinds of access token are taken, default `any`. */
  profile?: TokenProfile;
  /** Seconds by which clocks may differ, 0 to 300, default 5. */
  clockTolerance?: number;
  /** Custom claims and their schema; they come out of `ctx.state.auth.claims`, typed and checked. */
  claims?: CustomClaims<Claims>;
  /** Whether a request without a token is refused, default true. A bad token always is. */
  authRequired?: boolean;
  /** `realm` of the challenge, default the first audience. */
  realm?: string;
  /** Address of this API's RFC 9728 metadata, for the challenge. */
  resourceMetadata?: string;
  /** Milliseconds since the epoch, default `Date.now`. */
  now?: () => number;
}

export type CheckedOptions<Claims> = Readonly<
  Required<
    Omit<AuthOptions<Claims>, 'issuerBaseURL' | 'audience' | 'claims' | 'resourceMetadata'>
  > &
    Pick<AuthOptions<Claims>, 'claims' | 'resourceMetadata'> & { audience: readonly string[] }
>;

/** Checks the options once. @throws InvalidOptions that names every one at fault */
export function checkOptions<Claims>(options: AuthOptions<Claims>): CheckedOptions<Claims> {
  const faults: string[] = [];
  const {
    algorithms = ALGORITHMS,
    profile = 'any',
    clockTolerance = 5,
    claims,
    authRequired = true,
    resourceMetadata,
    now = Date.now,
  } = options;

  const audience = typeof options.audience === 'string' ? [options.audience] : options.audience;
  if (
    !Array.isArray(audience) ||
    audience.length === 0 ||
    audience.some((value) => typeof value !== 'string' || value === '')
  ) {
    faults.push('audience must be a non-empty string or a list of them');
  }
  if (algorithms.length === 0 || algorithms.some((alg) => !ALGORITHMS.includes(alg))) {
    faults.push(`algorithms must be some of ${ALGORITHMS.join(', ')}`);
  }
  if (!['any', 'rfc9068', 'auth0'].includes(profile))
    faults.push('profile must be any, rfc9068 or auth0');
  if (!(clockTolerance >= 0 && clockTolerance <= 300))
    faults.push('clockTolerance must be 0 to 300 seconds');
  if (claims && !URL.canParse(claims.namespace)) faults.push('claims.namespace must be a URL');
  if (resourceMetadata !== undefined && !URL.canParse(resourceMetadata))
    faults.push('resourceMetadata must be a URL');
  const unknown = Object.keys(options).filter((name) => !KNOWN.has(name));
  if (unknown.length > 0) faults.push(`unknown: ${unknown.join(', ')}`);

  let { issuer } = options;
  if (!issuer) {
    try {
      issuer = createIssuer({ issuerBaseURL: options.issuerBaseURL ?? '', now });
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  if (!issuer || faults.length > 0) throw new InvalidOptions(`auth: ${faults.join('; ')}`);

  const realm = options.realm ?? (audience[0] as string);
  return Object.freeze({
    issuer,
    audience,
    algorithms,
    profile,
    clockTolerance,
    claims,
    authRequired,
    realm,
    resourceMetadata,
    now,
  });
}

const KNOWN = new Set([
  'issuerBaseURL',
  'issuer',
  'audience',
  'algorithms',
  'profile',
  'clockTolerance',
  'claims',
  'authRequired',
  'realm',
  'resourceMetadata',
  'now',
]);
