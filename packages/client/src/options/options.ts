import {
  type ClientCredentials,
  type ClientOptions,
  checkClientOptions,
  createHttpClient,
  createIssuer,
  FAPI_ALGORITHMS,
  type HttpClientOptions,
  InvalidOptions,
  type IssuerOptions,
  SIGNING_ALGORITHMS,
} from '@koa-oauth/issuer';
import type { ClientEvent } from '../events.ts';
import type { ClientMessage } from '../messages.ts';
import {
  type AuthorizationParams,
  authorizationParamsFaults,
} from '../oauth/authorization-endpoint.ts';
import { fapiFaults } from '../oauth/fapi2.ts';
import type { SessionStore } from '../session/session-store.ts';
import * as rule from './option-rules.ts';

/**
 * Options of `auth()`, which throws `InvalidOptions` that names each wrong one.
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
  /** Address of the metadata, as in `createIssuer`: an inner one, if the issuer has another in browsers. */
  metadataURL?: IssuerOptions['metadataURL'];
  /** Accepts `http` on any host for requests to the issuer, as in `createIssuer`. */
  unsafeAllowHTTP?: IssuerOptions['unsafeAllowHTTP'];
  /** Address of this app in browsers. Only this address is used for the redirect URI. */
  baseURL: string;
  /**
   * Encrypts cookies and sessions: 32 random characters or more. In a list, the first encrypts and all
   * decrypt.
   */
  secret: string | readonly string[];
  /** Default: `{ scope: 'openid profile email' }` */
  authorizationParams?: AuthorizationParams | undefined;
  /**
   * Pushes each authorization request to the issuer first (RFC 9126), so that its parameters do not go
   * through the browser. Done in any case if the issuer's metadata requires it. Default: false
   */
  pushedAuthorizationRequests?: boolean | undefined;
  /**
   * Binds the tokens of each session to a key of its own (DPoP, RFC 9449): who copies a token cannot use it.
   * Sign-ins fail if the issuer does not support this. Sessions from before need a new sign-in. Default: false
   */
  dpop?: boolean | undefined;
  /**
   * `fapi2`: the FAPI 2.0 Security Profile. It needs `clientAssertionSigningKey`, turns on pushed requests and
   * `dpop`, and accepts its algorithms only. Sign-ins fail if the issuer does not support it. Default: none
   */
  profile?: 'fapi2' | undefined;
  session?:
    | {
        /** Default: in this process's memory. */
        store?: SessionStore | undefined;
        /** Name of the cookie, after `__Host-` on https. Default: `session` */
        name?: string | undefined;
        /** Seconds without a request after which a session ends. Default: 86,400, a day */
        rollingDuration?: number | undefined;
        /** Seconds after the sign-in at which a session ends. Default: 604,800, a week */
        absoluteDuration?: number | undefined;
      }
    | undefined;
  routes?:
    | {
        /** Default: `/login`. False: none */
        login?: string | false | undefined;
        /** Default: `/callback` */
        callback?: string | undefined;
        /** Answers POST only. Default: `/logout`. False: none */
        logout?: string | false | undefined;
        /**
         * Path at which the issuer reports that a user signed out there, such as `/backchannel-logout`
         * (OpenID Connect Back-Channel Logout 1.0). Default: false, none
         */
        backChannelLogout?: string | false | undefined;
        /** URL that the issuer sends the browser to after a logout, as registered there. Default: `baseURL` */
        postLogoutRedirect?: string | undefined;
      }
    | undefined;
  /** The one API that `ctx.oidc.api` calls. */
  api?:
    | {
        baseURL: string;
        /** Maximum milliseconds for a request and its answer. Default: 10,000 */
        timeout?: number | undefined;
        /** Maximum bytes of an answer. Default: 4 MiB */
        maxResponseSize?: number | undefined;
      }
    | undefined;
  /**
   * Ends the session at the issuer too when a user logs out here. With `id_token_hint` the browser posts
   * the ID token there, for an issuer that requires it. Default: true
   */
  idpLogout?: boolean | 'id_token_hint' | undefined;
  /** Seconds that our clock and the issuer's may differ. Default: 60 */
  clockTolerance?: number | undefined;
  /**
   * Seconds before its end at which an access token is renewed. Each session adds up to half of it, so
   * that not all are renewed at once. At most half of the token's lifetime. Default: 30
   */
  refreshLeeway?: number | undefined;
  /** Maximum milliseconds for one request to the issuer's token endpoint. Default: 10,000 */
  httpTimeout?: number | undefined;
  /** Connections to the issuer and the API. */
  http?:
    | {
        /**
         * URL of the proxy for `https` requests, or false for none. Default: `HTTPS_PROXY` and `NO_PROXY`
         * of the environment. Loopback addresses are always reached directly.
         */
        proxy?: HttpClientOptions['proxy'] | undefined;
        /** Certificates (PEM) of authorities that are trusted in addition to the default ones. */
        ca?: HttpClientOptions['ca'] | undefined;
      }
    | undefined;
  /** Receives sign-ins, refreshes, ended sessions, failures that stop no request, the issuer's events. */
  onEvent?: ((event: ClientEvent) => unknown) | undefined;
  /**
   * For development: receives each message of a login and of a refresh, with secrets masked. A page can
   * show those of the user's own session by their `loginId`, which is also `ctx.oidc.loginId`.
   */
  onMessage?: ((message: ClientMessage) => unknown) | undefined;
  /** The clock: milliseconds since 1970. Default: `Date.now` */
  now?: (() => number) | undefined;
}

/** Exactly one rule for each option. */
type RulesOf<Options> = Readonly<Record<keyof Required<NonNullable<Options>>, rule.OptionRule>>;

/** Every option by its group, with its rule. */
export const OPTION_RULES = {
  '': {
    issuerBaseURL: rule.anything,
    metadataURL: rule.anything,
    unsafeAllowHTTP: rule.anything,
    baseURL: rule.url,
    clientID: rule.anything,
    clientSecret: rule.anything,
    clientAuthMethod: rule.anything,
    clientAssertionSigningKey: rule.anything,
    clientAssertionSigningAlg: rule.anything,
    secret: rule.secrets,
    authorizationParams: rule.anything,
    pushedAuthorizationRequests: rule.boolean,
    dpop: rule.boolean,
    profile: rule.optional(rule.fapi2),
    session: rule.anything,
    routes: rule.anything,
    api: rule.anything,
    idpLogout: rule.idpLogout,
    clockTolerance: rule.wholeNumber(0, 300),
    refreshLeeway: rule.wholeNumber(0, 3600),
    httpTimeout: rule.wholeNumber(1, 120_000),
    http: rule.anything,
    onEvent: rule.optional(rule.callback),
    onMessage: rule.optional(rule.callback),
    now: rule.callback,
  } satisfies RulesOf<AuthOptions>,
  session: {
    store: rule.optional(rule.store),
    name: rule.cookieName,
    rollingDuration: rule.wholeNumber(1, 31_536_000),
    absoluteDuration: rule.wholeNumber(1, 31_536_000),
  } satisfies RulesOf<AuthOptions['session']>,
  routes: {
    login: rule.orFalse(rule.path('/login')),
    callback: rule.path('/callback'),
    logout: rule.orFalse(rule.path('/logout')),
    backChannelLogout: rule.orFalse(rule.path('/backchannel-logout')),
    postLogoutRedirect: rule.optional(rule.url),
  } satisfies RulesOf<AuthOptions['routes']>,
  api: {
    baseURL: rule.url,
    timeout: rule.wholeNumber(1, 120_000),
    maxResponseSize: rule.wholeNumber(1, 2 ** 30),
  } satisfies RulesOf<AuthOptions['api']>,
  http: {
    proxy: rule.anything,
    ca: rule.anything,
  } satisfies RulesOf<AuthOptions['http']>,
} satisfies rule.OptionRules;

/** The options after the checks, defaults filled in. */
export interface CheckedOptions extends ReturnType<typeof withDefaults> {}

/** @throws InvalidOptions that names every fault at once */
export function checkOptions(options: AuthOptions): CheckedOptions {
  mustBeObject('the options', options);
  const { session = {}, routes = {}, api, http = {}, authorizationParams = {} } = options;
  const groups = { session, routes, api: api ?? {}, http };
  for (const [name, group] of Object.entries({ ...groups, authorizationParams })) {
    mustBeObject(name, group);
  }
  const isFapi = options.profile === 'fapi2';
  const { credentials, faults } = checkClientOptions(options, isFapi);
  const checked = withDefaults(options, credentials);
  const { issuerBaseURL, metadataURL, unsafeAllowHTTP } = checked;
  const issuer = { issuerBaseURL, metadataURL, unsafeAllowHTTP };
  const { login, callback, logout, backChannelLogout } = checked.routes;
  faults.push(
    // The proxy is checked below.
    ...faultsOf('', () => createIssuer({ ...issuer, http: { proxy: false } })),
    ...rule.faultsOf(OPTION_RULES, '', {
      ...checked,
      baseURL: options.baseURL,
      secret: checked.secrets,
    }),
    ...rule.faultsOf(OPTION_RULES, 'session', checked.session),
    ...rule.faultsOf(OPTION_RULES, 'routes', checked.routes),
    ...(checked.api ? rule.faultsOf(OPTION_RULES, 'api', checked.api) : []),
    ...faultsOf('http.', () => createHttpClient({ proxy: http.proxy })),
    ...faultsOf('http.', () => createHttpClient({ ca: http.ca })),
    ...authorizationParamsFaults(checked.authorizationParams),
    ...(isFapi ? fapiFaults(options) : []),
    ...rule.unknownOptions(OPTION_RULES, { '': options, ...groups }),
  );
  if (callback === login) faults.push('routes.callback must be a path of its own');
  if (backChannelLogout && [login, callback, logout].includes(backChannelLogout)) {
    faults.push('routes.backChannelLogout must be a path of its own');
  }
  if (faults.length > 0) throw new InvalidOptions(`auth: ${faults.join('; ')}`);
  return checked;
}

function withDefaults(options: AuthOptions, credentials: ClientCredentials) {
  const { session, routes, api, profile } = options;
  const isFapi = profile === 'fapi2';
  const now = options.now ?? Date.now;
  const given: AuthorizationParams = Object.fromEntries(
    Object.entries(options.authorizationParams ?? {}).filter(([, value]) => value !== undefined),
  );
  const baseURL = String(options.baseURL).replace(/\/$/, '');
  const issuerBaseURL = String(options.issuerBaseURL);
  return Object.freeze({
    issuerBaseURL,
    metadataURL: options.metadataURL,
    unsafeAllowHTTP: options.unsafeAllowHTTP ?? false,
    /** Without a slash at its end. */
    baseURL,
    /** Cookies are sent over https only. */
    secureCookies: baseURL.startsWith('https:'),
    credentials,
    /** Names this client at its issuer: clients that share a store and a secret have keys of their own. */
    party: JSON.stringify([issuerBaseURL.replace(/\/$/, ''), String(credentials.clientID)]),
    /** Newest first. */
    secrets: [options.secret].flat(),
    authorizationParams: { scope: 'openid profile email', ...given },
    pushedAuthorizationRequests: options.pushedAuthorizationRequests ?? isFapi,
    dpop: options.dpop ?? isFapi,
    profile,
    /** Accepted for ID and logout tokens. */
    algorithms: isFapi ? FAPI_ALGORITHMS : SIGNING_ALGORITHMS,
    session: {
      store: session?.store,
      name: session?.name ?? 'session',
      rollingDuration: session?.rollingDuration ?? 86_400,
      absoluteDuration: session?.absoluteDuration ?? 604_800,
    },
    routes: {
      login: routes?.login ?? '/login',
      callback: routes?.callback ?? '/callback',
      logout: routes?.logout ?? '/logout',
      backChannelLogout: routes?.backChannelLogout ?? false,
      postLogoutRedirect: routes?.postLogoutRedirect,
    },
    api: api && {
      baseURL: api.baseURL,
      timeout: api.timeout ?? 10_000,
      maxResponseSize: api.maxResponseSize ?? 4 * 1024 * 1024,
    },
    idpLogout: options.idpLogout ?? true,
    clockTolerance: options.clockTolerance ?? 60,
    refreshLeeway: options.refreshLeeway ?? 30,
    httpTimeout: options.httpTimeout ?? 10_000,
    http: { ...options.http },
    onEvent: options.onEvent,
    onMessage: options.onMessage,
    now,
    /** Seconds since 1970. */
    seconds: () => Math.floor(now() / 1000),
  });
}

function faultsOf(prefix: string, check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    return [prefix + (error as Error).message];
  }
}

function mustBeObject(name: string, value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new InvalidOptions(`auth: ${name} must be an object`);
}
