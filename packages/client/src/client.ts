import {
  createEmitter,
  createHttpClient,
  createIssuer,
  type HttpClient,
  type Issuer,
} from '@koa-oauth/issuer';
import { ApiClient } from './api/api.ts';
import type { ClientContext } from './client-context.ts';
import { CLIENT_CHANNEL, type EmitClientEvent, failure } from './events.ts';
import { BackChannelLogout } from './login/back-channel-logout.ts';
import { Grants } from './login/grant.ts';
import { Login } from './login/login.ts';
import { Logout } from './login/logout.ts';
import { OwnSessions } from './login/own-sessions.ts';
import { StepUp } from './login/step-up.ts';
import { MAX_ENDPOINT_BYTES } from './oauth/token-endpoint.ts';
import type { CheckedOptions } from './options/options.ts';
import { Sessions } from './session/session.ts';
import type { SessionStore } from './session/session-store.ts';
import { memoryStore } from './session/stores/memory.ts';
import { Transactions } from './session/transaction.ts';
import { AccessTokens } from './tokens/access-token.ts';

/** All parts of one `auth()`, wired. Nothing is fetched before it is needed. */
export class Client implements ClientContext {
  readonly options: CheckedOptions;
  readonly issuer: Issuer;
  readonly http: HttpClient;
  readonly store: SessionStore;
  readonly sessions: Sessions;
  readonly transactions: Transactions;
  readonly grants: Grants;
  readonly emit: EmitClientEvent;
  readonly login: Login;
  readonly logout: Logout;
  readonly ownSessions: OwnSessions;
  readonly backChannelLogout: BackChannelLogout;
  readonly accessTokens: AccessTokens;
  readonly stepUp: StepUp;
  /** Undefined without the option `api`. */
  readonly api: ApiClient | undefined;

  constructor(options: CheckedOptions) {
    const { issuerBaseURL, now, http, httpTimeout, api } = options;
    this.options = options;
    this.emit = createEmitter(CLIENT_CHANNEL, options.onEvent);
    this.issuer = createIssuer({ issuerBaseURL, http, onEvent: options.onEvent });
    this.http = createHttpClient({
      timeout: httpTimeout,
      maxBodyBytes: MAX_ENDPOINT_BYTES,
      ...http,
    });
    this.store = options.session.store ?? memoryStore({ now });
    this.sessions = new Sessions(options, this.store, this.warn);
    this.transactions = new Transactions(options, this.store);
    this.grants = new Grants(options, this.issuer, this.http);

    this.ownSessions = new OwnSessions(this);
    this.login = new Login(this, this.ownSessions);
    this.logout = new Logout(this, this.ownSessions);
    this.backChannelLogout = new BackChannelLogout(this);
    this.accessTokens = new AccessTokens(this);
    this.stepUp = new StepUp(options);
    if (api) {
      const { baseURL, timeout, maxResponseSize: maxBodyBytes } = api;
      this.api = new ApiClient({
        baseURL,
        http: createHttpClient({ timeout, maxBodyBytes, ...http }),
        now,
      });
    }
  }

  readonly warn = (error: unknown): void => {
    this.emit({ type: 'warning', ...failure(error) });
  };
}
