import type { RequestListener } from 'node:http';

export interface AppOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Database of the contacts API. */
  readonly databaseURL?: string;
  /** Public JWK of the proofs. */
  readonly proofKey?: object;
  /** Redis of the used proofs. */
  readonly storeURL?: string;
}

export type MakeApp = (options: AppOptions) => Promise<RequestListener>;
