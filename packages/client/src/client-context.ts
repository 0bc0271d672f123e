import type { HttpClient, Issuer } from '@koa-oauth/issuer';
import type { EmitClientEvent } from './events.ts';
import type { Grants } from './login/grant.ts';
import type { CheckedOptions } from './options/options.ts';
import type { Sessions } from './session/session.ts';
import type { SessionStore } from './session/session-store.ts';
import type { Transactions } from './session/transaction.ts';

/** Shared dependencies of the parts of one `auth()`. */
export interface ClientContext {
  readonly options: CheckedOptions;
  readonly issuer: Issuer;
  /** For the endpoints of the authorization server. */
  readonly http: HttpClient;
  readonly store: SessionStore;
  readonly sessions: Sessions;
  readonly transactions: Transactions;
  readonly grants: Grants;
  readonly emit: EmitClientEvent;
  /** Reports a failure that does not stop the request. */
  readonly warn: (error: unknown) => void;
}
