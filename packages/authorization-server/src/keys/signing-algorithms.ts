import { errors } from '../oidc-provider.ts';
import {
  type Application,
  accessTokenSignature,
  idTokenSignature,
  RSA_ALGORITHMS,
  type RsaAlgorithm,
  type TenantDocument,
} from '../tenant/tenant.ts';
import type { SigningKey, SigningKeys } from './signing-keys.ts';

type Member = 'kty' | 'use' | 'kid' | 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi';
type Key = Pick<SigningKey, Member> & { readonly alg: RsaAlgorithm };

/** Returns the keys, and copies of each with another id for the other algorithms in use (RFC 7517 §4.4). */
export function signingKeySet({ keys }: SigningKeys, tenant: TenantDocument): { keys: Key[] } {
  const signatures = [
    ...tenant.clients.map(idTokenSignature),
    ...tenant.resourceServers.map(accessTokenSignature),
  ];
  const used = new Set<unknown>(signatures.map((signature) => signature?.alg));
  // The first is the algorithm of the keys themselves.
  const [, ...others] = RSA_ALGORITHMS;
  const named = others
    .filter((alg) => used.has(alg))
    .flatMap((alg) => keys.map((key) => ({ ...key, alg, kid: keyId(key.kid, alg) })));
  return { keys: [...keys, ...named] };
}

/** Returns the id under which a key is published for an algorithm. */
export function keyId(kid: string, alg: RsaAlgorithm): string {
  return alg === 'RS256' ? kid : `${kid}-${alg}`;
}

/** @throws AccessDenied when the application's ID tokens can't be signed here. */
export function checkIdTokenAlgorithm(application: Application | undefined): void {
  if (application === undefined || idTokenSignature(application) !== undefined) return;
  const { client_id: id, jwt_configuration: settings } = application;
  throw unavailableAlgorithm(String(settings?.alg ?? 'RS256'), id);
}

/** Returns the refusal of an application or API whose tokens can't be signed here. */
export function unavailableAlgorithm(alg: string, name: string): Error {
  const reason = alg === 'HS256' ? `${alg} without a secret of 32 bytes` : alg;
  return new errors.AccessDenied(`Tokens signed with ${reason} are not available here: ${name}`);
}
