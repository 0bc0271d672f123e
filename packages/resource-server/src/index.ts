export {
  createIssuer,
  hasDuplicateNames,
  InvalidOptions,
  type Issuer,
  IssuerError,
  type IssuerErrorCode,
  type IssuerOptions,
} from '@koa-oauth/issuer';
export {
  type AccessTokenVerifier,
  type AccessTokenVerifierOptions,
  type AuthMiddleware,
  type AuthState,
  auth,
  createAccessTokenVerifier,
  type OptionalAuthState,
} from './auth.ts';
export type { DpopOptions } from './dpop/dpop-options.ts';
export {
  AuthError,
  type AuthErrorCode,
  type AuthErrorOptions,
  InsufficientScopeError,
  InvalidProofError,
  type InvalidProofReason,
  InvalidTokenError,
  type InvalidTokenReason,
} from './errors.ts';
export { AUTH_CHANNEL, type AuthEvent, type RefusalReason } from './events.ts';
export type { AuthOptions } from './options.ts';
export type { LogoutTokenOptions } from './request/back-channel-logout.ts';
export type { TokenRequest } from './request/bearer-token.ts';
export {
  PROTECTED_RESOURCE_METADATA_PATH,
  type ProtectedResource,
  protectedResourceMetadata,
  protectedResourceMetadataURL,
} from './request/protected-resource-metadata.ts';
export { claimCheck, claimEquals, claimIncludes } from './requirements/claim-check.ts';
export {
  requiredPermissions,
  requiredScopes,
  scopeIncludesAny,
} from './requirements/required-scopes.ts';
export { requiredSignIn, type SignInOptions } from './requirements/required-sign-in.ts';
export { type ExpiringSet, type MemorySetOptions, memorySet } from './stores/expiring-set.ts';
export type { IntrospectionOptions } from './token/introspection.ts';
export type { IssuerResolver } from './token/issuer-resolver.ts';
export type { AccessTokenClaims, TokenProfile } from './token/jwt-access-token.ts';
export {
  type IsRevoked,
  type Revocations,
  type RevocationsOptions,
  revocations,
} from './token/revocations.ts';
export {
  type Algorithm,
  type SignatureRules,
  type VerifySignature,
  verifySignature,
} from './token/signature.ts';
export type { TrustedIssuerOptions } from './token/trusted-issuer.ts';
export type {
  Auth,
  CustomClaims,
  StandardSchema,
  VerifiedTokensLimits,
} from './token/verified-tokens.ts';
