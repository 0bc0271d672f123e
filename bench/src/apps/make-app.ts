import type { RequestListener } from 'node:http';

export interface AppOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Database of the contacts API. */
  readonly databaseURL?: string;
}

export type MakeApp = (options: AppOptions) => Promise<RequestListener>;
