export {
  type ClientSigningKeyInput,
  createHttpClient,
  InvalidOptions,
  IssuerError,
  type IssuerEvent,
} from '@koa-oauth/issuer';
export type { Api, ApiRequestOptions } from './api/api.ts';
export { ApiError, type ApiResponse } from './api/api-response.ts';
export { auth } from './auth.ts';
export { refuseCrossSite } from './browser/fetch-metadata.ts';
export { safeReturnTo } from './browser/redirect.ts';
export {
  AuthorizationRefused,
  hasCode,
  InsufficientScope,
  OidcError,
  type OidcErrorCode,
} from './errors.ts';
export { CLIENT_CHANNEL, type ClientEvent } from './events.ts';
export { type SignInRequirement, StepUpRequired } from './login/step-up.ts';
export type { ClientMessage } from './messages.ts';
export type { AuthorizationParams } from './oauth/authorization-endpoint.ts';
export type { ProofRequest, Proofs } from './oauth/dpop.ts';
export type { IdTokenClaims } from './oauth/id-token.ts';
export type { LoginParams, LogoutParams, OidcContext } from './oidc-context.ts';
export type { AuthOptions } from './options/options.ts';
export {
  claimCheck,
  claimEquals,
  claimIncludes,
  type RequiresAuthOptions,
  requiresAuth,
} from './requires-auth.ts';
export type { AccessToken } from './session/session.ts';
export type { UserSession } from './session/session-list.ts';
export type {
  ListedSession,
  NewSession,
  SessionStore,
  StoredSession,
} from './session/session-store.ts';
export { memoryStore } from './session/stores/memory.ts';
export type { AccessTokenParams } from './tokens/access-token.ts';
