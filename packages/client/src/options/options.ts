import { type HttpClientOptions, InvalidOptions } from '@koa-oauth/issuer';
import type { ClientEvent } from '../events.ts';
import type { ClientMessage } from '../messages.ts';
import {
  type AuthorizationParams,
  authorizationParamsFaults,
} from '../oauth/authorization-endpoint.ts';
import type { ClientCredentials } from '../oauth/client-authentication.ts';
import type { SessionStore } from '../session/session-store.ts';
import { type ClientOptions, checkClient } from './client-options.ts';
import {
  booleanFaults,
  functionFaults,
  httpFaults,
  issuerFaults,
  type NamesOf,
  numberFaults,
  type OptionNames,
  pathFaults,
  secretFaults,
  storeFaults,
  unknownOptionFaults,
  urlFaults,
} from './option-faults.ts';

/**
 * Options of `auth()`. A wrong one stops the start with an `InvalidOptions` that names it.
 *
 * @example
 * const options: AuthOptions = {
 *   issuerBaseURL: 'https://tenant.example.com/',
 *   baseURL: 'https://app.example.com',
 *   clientID: 'my-web-app',
 *   clientSecret,
 *   secret, // 32 characters or more
 * };
 */
export interface AuthOptions extends ClientOptions {
  /** The issuer identifier: `https`, or `http` on a loopback address. */
  issuerBaseURL: string;
  /** This app's address as browsers see it. The redirect URI is made from it and from nothing else. */
  baseURL: string;
  /** Seals cookies and sessions: 32 characters or more. In a list, the first seals and each opens. */
  secret: string | readonly string[];
  /** Default: `{ scope: 'openid profile email' }` */
  authorizationParams?: AuthorizationParams;
  /**
   * Pushes each authorization request to the issuer first (RFC 9126), so that its parameters do not go
   * through the browser. An issuer may require it, whatever this says. Default: false
   */
  pushedAuthorizationRequests?: boolean;
  session?: {
    /** Default: in this process's memory. */
    store?: SessionStore;
    /** The cookie's name, which gets `__Host-` before it on https. Default: `session` */
    name?: string;
    /** Seconds without a request after which a session ends. Default: 86,400, a day */
    rollingDuration?: number;
    /** Seconds after the sign-in at which a session ends. Default: 604,800, a week */
    absoluteDuration?: number;
  };
  routes?: {
    /** Default: `/login`; false to have none. */
    login?: string | false;
    /** Default: `/callback` */
    callback?: string;
    /** Answers POST only. Default: `/logout`; false to have none. */
    logout?: string | false;
    /**
     * Path at which the issuer reports that a user signed out there, such as `/backchannel-logout`
     * (OpenID Connect Back-Channel Logout 1.0). Default: false, to have none
     */
    backChannelLogout?: string | false;
    /** URL that the issuer sends the browser to after a logout, as registered there. Default: `baseURL` */
    postLogoutRedirect?: string;
  };
  /** The one API that `ctx.oidc.api` calls. */
  api?: {
    baseURL: string;
    /** Milliseconds for a whole exchange. Default: 10,000 */
    timeout?: number;
    /** Bytes of an answer. Default: 4 MiB */
    maxResponseSize?: number;
  };
  /** Ends the session at the issuer too when a user logs out here. Default: true */
  idpLogout?: boolean;
  /** Seconds that our clock and the issuer's may differ. Default: 60 */
  clockTolerance?: number;
  /**
   * Seconds before its end at which an access token is renewed; up to half as much more, by session,
   * and never more than half of its lifetime. Default: 30
   */
  refreshLeeway?: number;
  /** Milliseconds for one exchange with the issuer's token endpoint. Default: 10,000 */
  httpTimeout?: number;
  /** Connections to the issuer and the API. */
  http?: {
    /**
     * URL of the proxy for `https` requests, or false for none. Default: `HTTPS_PROXY` and `NO_PROXY`
     * of the environment. Loopback addresses are always reached directly.
     */
    proxy?: HttpClientOptions['proxy'];
    /** Certificates (PEM) of authorities that are trusted in addition to the default ones. */
    ca?: HttpClientOptions['ca'];
  };
  /** Receives sign-ins, refreshes, ended sessions, failures that stop no request, issuer's events. */
  onEvent?: (event: ClientEvent) => unknown;
  /**
   * For development: receives each message of a login and of a refresh, secrets masked, such as for a
   * page that shows them. Its `loginId` is that of the session, `ctx.oidc.loginId`.
   */
  onMessage?: (message: ClientMessage) => unknown;
  /** The clock: milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
}

/** The options after the checks, defaults filled in. */
export interface CheckedOptions {
  readonly issuerBaseURL: string;
  /** Without a slash at its end. */
  readonly baseURL: string;
  /** Cookies are sent over https only. */
  readonly secureCookies: boolean;
  readonly credentials: ClientCredentials;
  /** Newest first. */
  readonly secrets: readonly string[];
  readonly authorizationParams: AuthorizationParams & { readonly scope: string };
  readonly pushedAuthorizationRequests: boolean;
  readonly store: SessionStore | undefined;
  readonly cookieName: string;
  readonly rollingDuration: number;
  readonly absoluteDuration: number;
  readonly loginPath: string | false;
  readonly callbackPath: string;
  readonly logoutPath: string | false;
  readonly backChannelLogoutPath: string | false;
  readonly postLogoutRedirect: string | undefined;
  readonly api: Readonly<Required<NonNullable<AuthOptions['api']>>> | undefined;
  readonly idpLogout: boolean;
  readonly clockTolerance: number;
  readonly refreshLeeway: number;
  readonly httpTimeout: number;
  readonly http: Readonly<NonNullable<AuthOptions['http']>>;
  readonly onEvent: ((event: ClientEvent) => unknown) | undefined;
  readonly onMessage: ((message: ClientMessage) => unknown) | undefined;
  readonly now: () => number;
}

/** Every option by its group. */
export const OPTION_NAMES = {
  '': {
    issuerBaseURL: true,
    baseURL: true,
    clientID: true,
    clientSecret: true,
    clientAuthMethod: true,
    clientAssertionSigningKey: true,
    clientAssertionSigningAlg: true,
    secret: true,
    authorizationParams: true,
    pushedAuthorizationRequests: true,
    session: true,
    routes: true,
    api: true,
    idpLogout: true,
    clockTolerance: true,
    refreshLeeway: true,
    httpTimeout: true,
    http: true,
    onEvent: true,
    onMessage: true,
    now: true,
  } satisfies NamesOf<AuthOptions>,
  session: {
    store: true,
    name: true,
    rollingDuration: true,
    absoluteDuration: true,
  } satisfies NamesOf<Required<AuthOptions>['session']>,
  routes: {
    login: true,
    callback: true,
    logout: true,
    backChannelLogout: true,
    postLogoutRedirect: true,
  } satisfies NamesOf<Required<AuthOptions>['routes']>,
  api: {
    baseURL: true,
    timeout: true,
    maxResponseSize: true,
  } satisfies NamesOf<Required<AuthOptions>['api']>,
  http: {
    proxy: true,
    ca: true,
  } satisfies NamesOf<Required<AuthOptions>['http']>,
} satisfies OptionNames;

/** @throws InvalidOptions that names every fault at once */
export function checkOptions(options: AuthOptions): CheckedOptions {
  mustBeObject('the options', options);
  const { session = {}, routes = {}, api, http = {}, authorizationParams = {} } = options;
  const groups = { session, routes, api: api ?? {}, http };
  for (const [name, group] of Object.entries({ ...groups, authorizationParams })) {
    mustBeObject(name, group);
  }
  const { credentials, faults: clientFaults } = checkClient(options);
  const baseURL = String(options.baseURL).replace(/\/$/, '');
  const checked: CheckedOptions = Object.freeze({
    issuerBaseURL: options.issuerBaseURL,
    baseURL,
    secureCookies: baseURL.startsWith('https:'),
    credentials,
    secrets: Object.freeze([options.secret].flat()) as readonly string[],
    authorizationParams: Object.freeze({
      scope: 'openid profile email',
      ...authorizationParams,
    }),
    pushedAuthorizationRequests: options.pushedAuthorizationRequests ?? false,
    store: session.store,
    cookieName: session.name ?? 'session',
    rollingDuration: session.rollingDuration ?? 86_400,
    absoluteDuration: session.absoluteDuration ?? 604_800,
    loginPath: routes.login ?? '/login',
    callbackPath: routes.callback ?? '/callback',
    logoutPath: routes.logout ?? '/logout',
    backChannelLogoutPath: routes.backChannelLogout ?? false,
    postLogoutRedirect: routes.postLogoutRedirect,
    api: api && {
      baseURL: api.baseURL,
      timeout: api.timeout ?? 10_000,
      maxResponseSize: api.maxResponseSize ?? 4 * 1024 * 1024,
    },
    idpLogout: options.idpLogout ?? true,
    clockTolerance: options.clockTolerance ?? 60,
    refreshLeeway: options.refreshLeeway ?? 30,
    httpTimeout: options.httpTimeout ?? 10_000,
    http: Object.freeze({ ...http }),
    onEvent: options.onEvent,
    onMessage: options.onMessage,
    now: options.now ?? Date.now,
  });
  const faults = [
    ...issuerFaults(checked.issuerBaseURL),
    ...urlFaults('baseURL', checked.baseURL),
    ...(checked.api ? urlFaults('api.baseURL', checked.api.baseURL) : []),
    ...(checked.postLogoutRedirect === undefined
      ? []
      : urlFaults('routes.postLogoutRedirect', checked.postLogoutRedirect)),
    ...clientFaults,
    ...secretFaults(checked.secrets),
    ...authorizationParamsFaults(checked.authorizationParams),
    ...pathFaults(checked),
    ...numberFaults(checked),
    ...httpFaults(checked.http),
    ...functionFaults({
      onEvent: checked.onEvent ?? (() => {}),
      onMessage: checked.onMessage ?? (() => {}),
      now: checked.now,
    }),
    ...(checked.store === undefined ? [] : storeFaults(checked.store)),
    ...unknownOptionFaults({ '': options, ...groups }, OPTION_NAMES),
  ];
  const { idpLogout, pushedAuthorizationRequests } = checked;
  faults.push(...booleanFaults({ idpLogout, pushedAuthorizationRequests }));
  if (!/^[\w.-]+$/.test(checked.cookieName)) {
    faults.push('session.name must be letters, digits, ".", "_" or "-"');
  }
  if (faults.length > 0) throw new InvalidOptions(`auth: ${faults.join('; ')}`);
  return checked;
}

function mustBeObject(name: string, value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new InvalidOptions(`auth: ${name} must be an object`);
}
