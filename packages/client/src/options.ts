import { InvalidOptions } from '@koa-oauth/issuer';
import { type AuthorizationParams, authorizationParamsFaults } from './authorization-request.ts';
import {
  functionFaults,
  issuerFaults,
  numberFaults,
  pathFaults,
  secretFaults,
  storeFaults,
  textFaults,
  urlFaults,
} from './option-faults.ts';
import { type NamesOf, type OptionNames, unknownOptionFaults } from './option-names.ts';
import type { SessionStore } from './session-store.ts';

export interface AuthOptions {
  /** The issuer identifier: `https`, or `http` on a loopback address. */
  issuerBaseURL: string;
  /** This app's address as browsers see it. The redirect URI is made from it and from nothing else. */
  baseURL: string;
  clientID: string;
  clientSecret: string;
  /** Default: `client_secret_basic` */
  clientAuthMethod?: 'client_secret_basic' | 'client_secret_post';
  /** Seals cookies and sessions: 32 characters or more. Of several, newest first, each still opens. */
  secret: string | readonly string[];
  /** Default: `{ scope: 'openid profile email' }` */
  authorizationParams?: AuthorizationParams;
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
    /** Where the issuer sends the browser after a logout, as registered there. Default: `baseURL` */
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
  /** Whether a logout here ends the session at the issuer too. Default: true */
  idpLogout?: boolean;
  /** Seconds that our clock and the issuer's may differ. Default: 60 */
  clockTolerance?: number;
  /** Seconds before its end at which an access token is renewed. Default: 30 */
  refreshLeeway?: number;
  /** Milliseconds for one exchange with the issuer's token endpoint. Default: 10,000 */
  httpTimeout?: number;
  /** Told of failures that stopped nobody: a revocation at logout, a renewal that could wait. */
  onWarning?: (error: Error) => void;
  /** The clock: milliseconds since 1970. Default: `Date.now` */
  now?: () => number;
}

/** Every option by its group. */
export const OPTION_NAMES = {
  '': {
    issuerBaseURL: true,
    baseURL: true,
    clientID: true,
    clientSecret: true,
    clientAuthMethod: true,
    secret: true,
    authorizationParams: true,
    session: true,
    routes: true,
    api: true,
    idpLogout: true,
    clockTolerance: true,
    refreshLeeway: true,
    httpTimeout: true,
    onWarning: true,
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
    postLogoutRedirect: true,
  } satisfies NamesOf<Required<AuthOptions>['routes']>,
  api: {
    baseURL: true,
    timeout: true,
    maxResponseSize: true,
  } satisfies NamesOf<Required<AuthOptions>['api']>,
} satisfies OptionNames;

/** @throws InvalidOptions that names every fault at once */
export function checkOptions(options: AuthOptions) {
  mustBeObject('the options', options);
  const { session = {}, routes = {}, api, authorizationParams = {} } = options;
  const groups = { session, routes, api: api ?? {} };
  for (const [name, group] of Object.entries({ ...groups, authorizationParams })) {
    mustBeObject(name, group);
  }
  const checked = Object.freeze({
    issuerBaseURL: options.issuerBaseURL,
    baseURL: String(options.baseURL).replace(/\/$/, ''),
    client: Object.freeze({
      clientID: options.clientID,
      clientSecret: options.clientSecret,
      clientAuthMethod: options.clientAuthMethod ?? 'client_secret_basic',
    }),
    secrets: Object.freeze([options.secret].flat()) as readonly string[],
    authorizationParams: Object.freeze({
      scope: 'openid profile email',
      ...authorizationParams,
    }),
    store: session.store,
    cookieName: session.name ?? 'session',
    rollingDuration: session.rollingDuration ?? 86_400,
    absoluteDuration: session.absoluteDuration ?? 604_800,
    loginPath: routes.login ?? '/login',
    callbackPath: routes.callback ?? '/callback',
    logoutPath: routes.logout ?? '/logout',
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
    onWarning: options.onWarning ?? (() => {}),
    now: options.now ?? Date.now,
  });
  const faults = [
    ...issuerFaults(checked.issuerBaseURL),
    ...urlFaults('baseURL', checked.baseURL),
    ...(checked.api ? urlFaults('api.baseURL', checked.api.baseURL) : []),
    ...(checked.postLogoutRedirect === undefined
      ? []
      : urlFaults('routes.postLogoutRedirect', checked.postLogoutRedirect)),
    ...textFaults({ clientID: options.clientID, clientSecret: options.clientSecret }),
    ...secretFaults(checked.secrets),
    ...authorizationParamsFaults(checked.authorizationParams),
    ...pathFaults(checked),
    ...numberFaults(checked),
    ...functionFaults({ onWarning: checked.onWarning, now: checked.now }),
    ...(checked.store === undefined ? [] : storeFaults(checked.store)),
    ...unknownOptionFaults({ '': options, ...groups }, OPTION_NAMES),
  ];
  if (typeof checked.idpLogout !== 'boolean') faults.push('idpLogout must be true or false');
  if (!['client_secret_basic', 'client_secret_post'].includes(checked.client.clientAuthMethod)) {
    faults.push('clientAuthMethod must be client_secret_basic or client_secret_post');
  }
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
