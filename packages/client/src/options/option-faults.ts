import {
  createHttpClient,
  type HttpClientOptions,
  isSecureURL,
  parseIssuerIdentifier,
} from '@koa-oauth/issuer';

// Each function returns a sentence for each fault of an option's value.

const MIN_SECRET_LENGTH = 32;
const STORE_METHODS = [
  'create',
  'read',
  'update',
  'touch',
  'destroy',
  'list',
  'acquire',
  'extend',
  'release',
  'once',
  'close',
] as const;

export function issuerFaults(issuerBaseURL: unknown): string[] {
  try {
    parseIssuerIdentifier(issuerBaseURL);
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

export function httpFaults(http: Pick<HttpClientOptions, 'proxy' | 'ca'>): string[] {
  try {
    createHttpClient(http);
    return [];
  } catch (error) {
    return (error as Error).message.split('; ').map((fault) => `http.${fault}`);
  }
}

export function urlFaults(name: string, value: unknown): string[] {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  const isClean = url && !url.search && !url.hash && !url.username && !url.password;
  if (isClean && isSecureURL(url)) return [];
  return [`${name} must be an https URL (http on a loopback address) without query or fragment`];
}

export function textFaults(values: Record<string, unknown>): string[] {
  return Object.entries(values)
    .filter(([, value]) => typeof value !== 'string' || value === '')
    .map(([name]) => `${name} must be as the authorization server registered it`);
}

export function secretFaults(secrets: readonly unknown[]): string[] {
  const areLong = secrets.every(
    (one) => typeof one === 'string' && one.length >= MIN_SECRET_LENGTH,
  );
  if (areLong && secrets.length > 0) return [];
  return [`secret must be ${MIN_SECRET_LENGTH} random characters or more, or a list of such`];
}

export function pathFaults(
  paths: Record<'loginPath' | 'callbackPath' | 'logoutPath' | 'backChannelLogoutPath', unknown>,
): string[] {
  const { loginPath, callbackPath, logoutPath, backChannelLogoutPath } = paths;
  const routes: [name: string, path: unknown, example: string, others: unknown[]][] = [
    ['login', loginPath, '/login', []],
    ['callback', callbackPath, '/callback', [loginPath]],
    ['logout', logoutPath, '/logout', []],
    [
      'backChannelLogout',
      backChannelLogoutPath,
      '/backchannel-logout',
      [loginPath, callbackPath, logoutPath],
    ],
  ];
  return routes.flatMap(([name, path, example, others]) => {
    if (path === false && name !== 'callback') return [];
    if (typeof path !== 'string' || !/^\/[\w./~-]*$/.test(path)) {
      return [`routes.${name} must be a path such as ${example}`];
    }
    return others.includes(path) ? [`routes.${name} must be a path of its own`] : [];
  });
}

export function booleanFaults(values: Record<string, unknown>): string[] {
  return Object.entries(values)
    .filter(([, value]) => typeof value !== 'boolean')
    .map(([name]) => `${name} must be true or false`);
}

export function functionFaults(values: Record<string, unknown>): string[] {
  return Object.entries(values)
    .filter(([, value]) => typeof value !== 'function')
    .map(([name]) => `${name} must be a function`);
}

export function storeFaults(store: unknown): string[] {
  const methods = (store ?? {}) as Record<string, unknown>;
  if (STORE_METHODS.every((name) => typeof methods[name] === 'function')) return [];
  return [`session.store must have ${STORE_METHODS.join(', ')}`];
}

export function numberFaults(options: {
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

/** The names of an interface's members; the compiler refuses one that is missing or too many. */
export type NamesOf<Options> = Readonly<Record<keyof Required<Options>, true>>;

/** Names by group; the group `''` is that of the options outside any group. */
export type OptionNames = Readonly<Record<string, Readonly<Record<string, true>>>>;

/** Returns one fault that names all unknown options, each with what was probably meant; else none. */
export function unknownOptionFaults(
  groups: Readonly<Record<string, object>>,
  known: OptionNames,
): string[] {
  const unknown = Object.entries(groups).flatMap(([group, options]) =>
    Object.keys(options)
      .filter((name) => !Object.hasOwn(known[group] ?? {}, name))
      .map((name) => path(group, name) + hint(group, name, known)),
  );
  return unknown.length > 0 ? [`unknown: ${unknown.join(', ')}`] : [];
}

/** Finds the same name in another spelling, in the same group before others. */
function hint(group: string, name: string, known: OptionNames): string {
  const groups = [group, ...Object.keys(known).filter((other) => other !== group)];
  for (const place of groups) {
    const meant = Object.keys(known[place] ?? {}).find(
      (other) => other.toLowerCase() === name.toLowerCase(),
    );
    if (meant) return ` (did you mean ${path(place, meant)}?)`;
  }
  return '';
}

function path(group: string, name: string): string {
  return group === '' ? name : `${group}.${name}`;
}
