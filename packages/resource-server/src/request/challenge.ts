/** Scheme of credentials and challenges: `Bearer` (RFC 6750 §2.1) or `DPoP` (RFC 9449 §7.1). */
export type Scheme = 'Bearer' | 'DPoP';

/** Parameters of a challenge (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1), in the order sent. */
export interface ChallengeParameters {
  readonly realm?: string | undefined;
  readonly error?:
    | undefined
    | 'invalid_request'
    | 'invalid_token'
    | 'insufficient_scope'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce'
    | 'insufficient_user_authentication';
  readonly error_description?: string | undefined;
  readonly scope?: string | undefined;
  readonly acr_values?: string | undefined;
  readonly max_age?: string | undefined;
  readonly algs?: string | undefined;
  readonly resource_metadata?: string | undefined;
}

const ORDER = [
  'realm',
  'error',
  'error_description',
  'scope',
  'acr_values',
  'max_age',
  'algs',
  'resource_metadata',
] as const;

/**
 * Builds the value of `WWW-Authenticate`. Every character that RFC 6750 §3 doesn't allow in these
 * parameters is replaced, so no text can break out of its quotes or out of the header.
 */
export function buildChallenge(parameters: ChallengeParameters, scheme: Scheme = 'Bearer'): string {
  const pairs: string[] = [];
  for (const name of ORDER) {
    const value = parameters[name];
    if (value !== undefined) pairs.push(`${name}="${headerSafe(value)}"`);
  }
  return `${scheme} ${pairs.join(', ')}`;
}

/** Builds `WWW-Authenticate` for an error. @param used scheme of the credentials, if there were any */
export type BuildChallenges = (error: ChallengeParameters, used: Scheme | undefined) => string;

/**
 * Makes the function that builds `WWW-Authenticate`: a challenge for each accepted scheme, with the
 * error at the one that was used, which comes first (RFC 9449 §7.1, §7.2). Both name the scope.
 *
 * @param dpop accepted algorithms of proofs, and whether only DPoP is accepted
 */
export function challengeBuilder(
  common: Pick<ChallengeParameters, 'realm'> & { resource_metadata: string | undefined },
  dpop: { readonly algorithms: readonly string[]; readonly required: boolean } | undefined,
): BuildChallenges {
  const proof = { ...common, algs: dpop?.algorithms.join(' ') };
  const bearer = (error: ChallengeParameters) => buildChallenge({ ...error, ...common });
  const bound = (error: ChallengeParameters) => buildChallenge({ ...error, ...proof }, 'DPoP');
  return function buildChallenges(error, used) {
    if (!dpop) return bearer(error);
    if (dpop.required) return bound(error);
    const { scope } = error;
    return used === 'DPoP'
      ? `${bound(error)}, ${bearer({ scope })}`
      : `${bearer(error)}, ${bound({ scope })}`;
  };
}

function headerSafe(text: string): string {
  return text.replaceAll('"', "'").replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
}
