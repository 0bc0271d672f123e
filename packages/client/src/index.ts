export {
  type AuthorizationServerMetadata,
  InvalidMetadata,
  InvalidOptions,
  type IssuerEvent,
  IssuerUnavailable,
} from '@koa-oauth/issuer';
export type { AccessTokenParams } from './access-token.ts';
export type { Api, ApiRequestOptions } from './api.ts';
export { ApiError, type ApiResponse } from './api-response.ts';
export { auth } from './auth.ts';
export type { AuthorizationParams } from './authorization-request.ts';
export { type ClaimValue, claimCheck, claimEquals, claimIncludes } from './claim-check.ts';
export type { ClientSigningAlg, ClientSigningKeyInput } from './client-signing-key.ts';
export { refuseCrossSite } from './cross-site.ts';
export { AuthorizationRefused, hasCode, OidcError, type OidcErrorCode } from './errors.ts';
export { CLIENT_CHANNEL, type ClientEvent, type SessionEndReason } from './events.ts';
export type { FlowStep } from './flow-record.ts';
export type { IdTokenClaims } from './id-token.ts';
export { InsufficientScope } from './insufficient-scope.ts';
export type { LoginParams, LogoutParams, OidcContext } from './oidc-context.ts';
export type { AuthOptions } from './options.ts';
export { type RequiresAuthOptions, requiresAuth } from './requires-auth.ts';
export { safeReturnTo } from './return-to.ts';
export type { AccessToken } from './session.ts';
export type { UserSession } from './session-list.ts';
export type {
  ListedSession,
  NewSession,
  SessionStore,
  StoredSession,
} from './session-store.ts';
export type { SignInRequirement } from './sign-in-requirement.ts';
export { type StepUpParams, StepUpRequired } from './step-up.ts';
export { type FileStoreOptions, fileStore } from './stores/file.ts';
export { type MemoryStoreOptions, memoryStore } from './stores/memory.ts';
export { type RedisStoreOptions, redisStore } from './stores/redis.ts';
export type { RedisClient } from './stores/redis-connection.ts';
