import {
  createEmitter,
  createHttpClient,
  createIssuer,
  createPrinter,
  type EventLine,
  type HttpClient,
  type Issuer,
} from '@koa-oauth/issuer';
import {
  CLIENT_CHANNEL,
  type ClientEvent,
  describeFailure,
  type FailureEvent,
  type SessionEndReason,
} from './events.ts';
import { Grants } from './login/grant.ts';
import { Dpop } from './oauth/dpop.ts';
import { MAX_ENDPOINT_BYTES } from './oauth/token-endpoint.ts';
import type { CheckedOptions } from './options/options.ts';
import { Sessions } from './session/session.ts';
import type { SessionStore } from './session/session-store.ts';
import { memoryStore } from './session/stores/memory.ts';
import { Transactions } from './session/transaction.ts';

/** Shared dependencies of the parts of one `auth()`. Nothing is fetched before it is needed. */
export class ClientContext {
  readonly options: CheckedOptions;
  readonly emit: (event: ClientEvent) => void;
  readonly issuer: Issuer;
  /** For the endpoints of the authorization server. */
  readonly http: HttpClient;
  readonly dpop: Dpop;
  readonly store: SessionStore;
  readonly sessions: Sessions;
  readonly transactions: Transactions;
  readonly grants: Grants;
  readonly #print: ((line: EventLine) => void) | undefined;
  readonly #reported = new WeakSet<object>();

  constructor(options: CheckedOptions) {
    const { issuerBaseURL, metadataURL, unsafeAllowHTTP, session, now, http, onEvent } = options;
    this.options = options;
    this.emit = createEmitter(CLIENT_CHANNEL, onEvent);
    this.#print = onEvent ? undefined : createPrinter((line: EventLine) => line);
    this.issuer = createIssuer({ issuerBaseURL, metadataURL, unsafeAllowHTTP, http, onEvent });
    this.http = createHttpClient({
      timeout: options.httpTimeout,
      maxBodyBytes: MAX_ENDPOINT_BYTES,
      ...http,
    });
    this.dpop = new Dpop(options.seconds);
    this.store = session.store ?? memoryStore({ now });
    this.sessions = new Sessions(options, this.store, this.warn);
    this.transactions = new Transactions(options, this.store);
    this.grants = new Grants(options, this.issuer, this.http, this.dpop, this.warn);
  }

  /** Reports a failure, each error once. Only the line that is printed has what can name a person. */
  reportFailure(event: FailureEvent, error: unknown): void {
    const { code, detail } = error as { code?: unknown; detail?: string };
    if (this.#reported.has(error as Error)) return;
    this.#reported.add(error as Error);
    this.emit({ ...event, ...describeFailure(error) });
    this.#print?.([`${event.type}, ${code}`, detail]);
  }

  /** Reports a failure that does not stop the request. */
  readonly warn = (error: unknown): void => this.reportFailure({ type: 'warning' }, error);

  reportEnded(reason: SessionEndReason, sessions: number): void {
    if (sessions > 0) this.emit({ type: 'session_ended', reason, sessions });
  }
}
