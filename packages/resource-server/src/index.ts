export {
  InvalidOptions,
  IssuerUnavailable,
  isLoopback,
  parseIssuerIdentifier,
} from '@koa-oauth/issuer';
export { type Auth, auth } from './auth.ts';
export { claimCheck, claimEquals, claimIncludes } from './claim-check.ts';
export type { CustomClaims, StandardSchema } from './custom-claims.ts';
export {
  AuthError,
  ClaimMismatchError,
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  type InvalidTokenReason,
  UnauthorizedError,
} from './errors.ts';
export type { AccessTokenClaims, TokenProfile } from './jwt-access-token.ts';
export type { AuthOptions } from './options.ts';
export {
  PROTECTED_RESOURCE_METADATA_PATH,
  type ProtectedResource,
  protectedResourceMetadata,
} from './protected-resource-metadata.ts';
export { grantedScopes, requiredScopes, scopeIncludesAny } from './required-scopes.ts';
export type { Algorithm } from './signature.ts';
