export type { AuthorizationServerMetadata } from './authorization-server-metadata.ts';
export {
  authenticateClient,
  type ClientCredentials,
  type ClientOptions,
  type ClientSigningKeyInput,
  checkClientOptions,
} from './client-authentication.ts';
export { InvalidOptions, IssuerError, type IssuerErrorCode, StacklessError } from './errors.ts';
export {
  answerInTime,
  createEmitter,
  createPrinter,
  type EventLine,
  HTTP_CHANNEL,
  type HttpExchange,
  ISSUER_CHANNEL,
  type IssuerEvent,
  isNoAnswer,
  type LeftOutKey,
} from './events.ts';
export {
  createHttpClient,
  type HttpAnswer,
  type HttpClient,
  type HttpClientOptions,
  HttpError,
  type HttpRequest,
} from './http-client.ts';
export { createIssuer, type Issuer, type IssuerOptions } from './issuer.ts';
export { isSameIssuer, isSecureURL, parseIssuerIdentifier, parseURL } from './issuer-identifier.ts';
export type { KeyHeader, SigningKey } from './jwk-set.ts';
export {
  checkLogoutToken,
  LOGOUT_TOKEN_LIFETIME_SECONDS,
  type LogoutTokenClaims,
  namesLogout,
} from './logout-token.ts';
export { type FormRequest, readForm } from './posted-form.ts';
export {
  type CheckedJwk,
  checkPublicJwk,
  FAPI_ALGORITHMS,
  importPublicJwk,
  jwkThumbprint,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from './public-jwk.ts';
export {
  checkSignedJwt,
  isTime,
  type SignedJwt,
  type SignedJwtExpectations,
  type SignedJwtKind,
  type Signer,
  signJws,
} from './signed-jwt.ts';
export { decodeUnverifiedJwt, hasDuplicateNames, type UnverifiedJwt } from './unverified-jwt.ts';
