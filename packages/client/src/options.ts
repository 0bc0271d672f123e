import { InvalidOptions, isSecureURL, parseIssuerIdentifier } from '@koa-oauth/issuer';
import { type AuthorizationParams, authorizationParamsFaults } from './authorization-request.ts';
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

export type CheckedOptions = ReturnType<typeof checkOptions>;

const MIN_SECRET = 32;

/** @throws InvalidOptions that names every fault at once */
export function checkOptions(options: AuthOptions) {
  const { session = {}, routes = {}, api } = options;
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
      ...options.authorizationParams,
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
  ];
  if (!['client_secret_basic', 'client_secret_post'].includes(checked.client.clientAuthMethod)) {
    faults.push('clientAuthMethod must be client_secret_basic or client_secret_post');
  }
  if (!/^[\w.-]+$/.test(checked.cookieName)) {
    faults.push('session.name must be letters, digits, ".", "_" or "-"');
  }
  if (faults.length > 0) throw new InvalidOptions(faults.join('\n'));
  return checked;
}

function issuerFaults(issuerBaseURL: unknown): string[] {
  try {
    parseIssuerIdentifier(issuerBaseURL);
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

function urlFaults(name: string, value: unknown): string[] {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  const isClean = url && !url.search && !url.hash && !url.username && !url.password;
  if (isClean && isSecureURL(url)) return [];
  return [`${name} must be an https URL (http on a loopback address) without query or fragment`];
}

function textFaults(values: Record<string, unknown>): string[] {
  return Object.entries(values)
    .filter(([, value]) => typeof value !== 'string' || value === '')
    .map(([name]) => `${name} must be as the authorization server registered it`);
}

function secretFaults(secrets: readonly unknown[]): string[] {
  const areLong = secrets.every((one) => typeof one === 'string' && one.length >= MIN_SECRET);
  if (areLong && secrets.length > 0) return [];
  return [`secret must be ${MIN_SECRET} random characters or more, or a list of such`];
}

function pathFaults(paths: Record<'loginPath' | 'callbackPath' | 'logoutPath', unknown>): string[] {
  return (['login', 'callback', 'logout'] as const).flatMap((name) => {
    const path = paths[`${name}Path`];
    if (typeof path === 'string' && /^\/[\w./~-]*$/.test(path)) return [];
    if (path === false && name !== 'callback') return [];
    return [`routes.${name} must be a path such as /${name}`];
  });
}

function numberFaults(options: {
  rollingDuration: unknown;
  absoluteDuration: unknown;
  clockTolerance: unknown;
  refreshLeeway: unknown;
  httpTimeout: unknown;
  api: { timeout: unknown; maxResponseSize: unknown } | undefined;
}): string[] {
  const { rollingDuration, absoluteDuration, clockTolerance, refreshLeeway, httpTimeout, api } =
    options;
  const bounds: [name: string, value: unknown, min: number, max: number][] = [
    ['session.rollingDuration', rollingDuration, 1, 31_536_000],
    ['session.absoluteDuration', absoluteDuration, 1, 31_536_000],
    ['clockTolerance', clockTolerance, 0, 300],
    ['refreshLeeway', refreshLeeway, 0, 3600],
    ['httpTimeout', httpTimeout, 1, 120_000],
    ['api.timeout', api ? api.timeout : 1, 1, 120_000],
    ['api.maxResponseSize', api ? api.maxResponseSize : 1, 1, 2 ** 30],
  ];
  return bounds
    .filter(([, n, min, max]) => !(Number.isInteger(n) && Number(n) >= min && Number(n) <= max))
    .map(([name, , min, max]) => `${name} must be a whole number from ${min} to ${max}`);
}
