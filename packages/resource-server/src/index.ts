export {
  createIssuer,
  InvalidOptions,
  type Issuer,
  IssuerUnavailable,
  isLoopback,
  isSecureURL,
  parseIssuerIdentifier,
} from '@koa-oauth/issuer';
export type { Auth } from './access-token-verifier.ts';
export { auth } from './auth.ts';
export { claimCheck, claimEquals, claimIncludes } from './claim-check.ts';
export type { CustomClaims, StandardSchema } from './custom-claims.ts';
export {
  AuthError,
  ClaimMismatchError,
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  type InvalidTokenReason,
  RevocationUnavailable,
  UnauthorizedError,
} from './errors.ts';
export { AUTH_CHANNEL, type AuthEvent, type RefusalReason } from './events.ts';
export type { AccessTokenClaims, TokenProfile } from './jwt-access-token.ts';
export type { AuthOptions } from './options.ts';
export {
  PROTECTED_RESOURCE_METADATA_PATH,
  type ProtectedResource,
  protectedResourceMetadata,
} from './protected-resource-metadata.ts';
export {
  grantedScopes,
  requiredPermissions,
  requiredScopes,
  scopeIncludesAny,
} from './required-scopes.ts';
export type { IsRevoked } from './revocation.ts';
export type { Algorithm } from './signature.ts';
export type { VerifiedTokensLimits } from './verified-tokens.ts';
