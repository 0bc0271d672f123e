export type { AuthorizationServerMetadata } from './authorization-server-metadata.ts';
export { InvalidOptions, IssuerError, type IssuerErrorCode, StacklessError } from './errors.ts';
export {
  answerInTime,
  createEmitter,
  createPrinter,
  type EventLine,
  ISSUER_CHANNEL,
  type IssuerEvent,
  isNoAnswer,
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
export { isSameIssuer, isSecureURL, parseIssuerIdentifier } from './issuer-identifier.ts';
export type { KeyHeader, LeftOutKey, SigningKey } from './jwk-set.ts';
export {
  type CheckedJwk,
  checkPublicJwk,
  FAPI_ALGORITHMS,
  importPublicJwk,
  jwkThumbprint,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from './public-jwk.ts';
export { decodeUnverifiedJwt, hasDuplicateNames, type UnverifiedJwt } from './unverified-jwt.ts';
