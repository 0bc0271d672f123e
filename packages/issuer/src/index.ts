export type { AuthorizationServerMetadata } from './authorization-server-metadata.ts';
export { createEmitter } from './create-emitter.ts';
export {
  InvalidMetadata,
  InvalidOptions,
  IssuerUnavailable,
  SigningKeyNotFound,
} from './errors.ts';
export { ISSUER_CHANNEL, type IssuerEvent } from './events.ts';
export {
  createHttpClient,
  type HttpAnswer,
  type HttpClient,
  type HttpClientOptions,
  HttpError,
  type HttpRequest,
} from './http-client.ts';
export { createIssuer, type Issuer, type IssuerOptions } from './issuer.ts';
export {
  isLoopback,
  isSameIssuer,
  isSecureURL,
  parseIssuerIdentifier,
} from './issuer-identifier.ts';
export type { KeyHeader, LeftOutKey, SigningKey } from './jwk-set.ts';
export { refuseUpgrade } from './refuse-upgrade.ts';
export { SIGNING_ALGORITHMS, type SigningAlgorithm } from './signing-algorithms.ts';
