export {
  type AuthorizationServerMetadata,
  InvalidMetadata,
  InvalidOptions,
  IssuerUnavailable,
} from '@koa-oauth/issuer';
export { type Api, ApiError, type ApiRequestOptions, type ApiResponse } from './api.ts';
export { auth } from './auth.ts';
export type { AuthorizationParams } from './authorization-request.ts';
export { refuseCrossSite } from './cross-site.ts';
export { AuthorizationRefused, hasCode, OidcError, type OidcErrorCode } from './errors.ts';
export type { IdTokenClaims } from './id-token.ts';
export type { LoginParams, OidcContext } from './oidc-context.ts';
export type { AuthOptions } from './options.ts';
export { requiresAuth } from './requires-auth.ts';
export { safeReturnTo } from './return-to.ts';
export type { AccessToken } from './session.ts';
export type { SessionStore, StoredSession } from './session-store.ts';
export { type FileStoreOptions, fileStore } from './stores/file.ts';
export { type MemoryStoreOptions, memoryStore } from './stores/memory.ts';
