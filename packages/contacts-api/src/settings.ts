import { createIssuer } from '@koa-oauth/resource-server';
import {
  flag,
  isLoopback,
  isSecureURL,
  isServerURL,
  listSettings,
  logLevel,
  otlpEndpoint,
  parseURL,
  port,
  splitList,
  wholeNumber,
} from '@koa-oauth/service';
import { z } from 'zod';

const httpURL = (noun: string) =>
  z.url({ protocol: /^https?$/, abort: true, error: `must be ${noun}` });

function hasOnlyOriginAndPath(url: string): boolean {
  const { username, password, search, hash } = new URL(url);
  return `${username}${password}${search}${hash}` === '';
}

function isOrigin(text: string): boolean {
  return parseURL(text)?.origin === text && text.startsWith('http');
}

const Environment = z.object({
  PORT: port().default(3001).describe('port it listens on; 0: any free one'),
  HOST: z
    .string()
    .min(1, 'must be an address to listen on, such as 127.0.0.1')
    .default('127.0.0.1')
    .describe('address it listens on'),
  BASE_URL: httpURL('the public address of this API, such as https://api.example.com')
    .refine((value) => isSecureURL(new URL(value)), 'must use https, or http on a loopback address')
    .refine(hasOnlyOriginAndPath, 'must have no user, query or fragment')
    .optional()
    .meta({ description: 'public address of the API', defaultText: '`http://localhost:PORT`' }),
  ISSUER_BASE_URL: z
    .string()
    .default('http://localhost:3002')
    .transform(splitList)
    .superRefine((issuers, context) => {
      const fault = (message: string) => context.addIssue({ code: 'custom', message });
      for (const issuerBaseURL of issuers) {
        try {
          createIssuer({ issuerBaseURL });
        } catch (error) {
          fault((error as Error).message.replace(/^issuerBaseURL /, ''));
        }
      }
      const names = issuers.map((issuer) => issuer.replace(/\/$/, ''));
      if (new Set(names).size < names.length) fault('must name each issuer once');
    })
    .describe(
      'the issuer, `https`; `http` only on loopback. Several are separated by commas: the first owns ' +
        'the contacts that exist already',
    ),
  AUDIENCE: z
    .string()
    .trim()
    .min(1, 'must be the identifier of this API')
    .default('https://contacts.example.com/api')
    .describe("this API's identifier; `aud` must contain it"),
  CLAIMS_NAMESPACE: httpURL(
    'the URL that prefixes the custom claims, such as https://contacts.example.com/',
  )
    .regex(/[/#]$/, 'must end with / or #, because the names of the claims follow directly')
    .default('https://contacts.example.com/')
    .describe('prefix of the custom claims, with the last `/` or `#`'),
  DATABASE_URL: z
    .string()
    .regex(
      /^(file:(?!:memory:|file:).+|postgres(ql)?:\/\/.+)$/s,
      'must be file:PATH such as file:./data/contacts.db, or postgres://USER@HOST/DATABASE; ' +
        'a database in memory would lose all contacts at each restart',
    )
    .default('file:./data/contacts.db')
    .describe(
      '`file:PATH` (libsql, one machine) or `postgres://…` (any number of processes and machines)',
    ),
  MAX_CONTACTS: wholeNumber('number of contacts', 1, 100_000_000)
    .default(500_000)
    .describe('maximum contacts of one organization; one more gets 409'),
  RATE_LIMIT: wholeNumber('number of requests a minute', 1, 1_000_000)
    .default(600)
    .describe('maximum requests a minute of one subject; more get 429'),
  RATE_LIMIT_REFUSED: wholeNumber('number of refusals a minute', 1, 1_000_000)
    .default(120)
    .describe(
      'maximum refused tokens, and refused bodies, a minute from one address; more get 429. Good ' +
        'requests still pass',
    ),
  STORE_URL: z
    .string()
    .refine((value) => value === 'memory:' || isServerURL(value), {
      error:
        'must be memory:, redis://HOST:PORT or postgres://USER@HOST/DATABASE, in whose user name and ' +
        'password "@", "/", "#" and "%" are encoded',
    })
    .default('memory:')
    .describe(
      'revoked tokens, used DPoP proofs and counts of requests, for all processes: `redis://…` or ' +
        '`postgres://…`; `memory:` is per process',
    ),
  LOGOUT_CLIENT_IDS: z
    .string()
    .transform(splitList)
    .refine((ids) => !ids.includes(''), 'must be client ids, separated by commas')
    .optional()
    .meta({
      description:
        'applications whose logout tokens `POST /backchannel-logout` accepts, separated by commas',
      defaultText:
        'those of the demo tenant with an issuer on loopback, except in production; else none',
    }),
  DPOP: z
    .enum(['allowed', 'required'], { error: 'must be allowed or required' })
    .default('allowed')
    .describe(
      'a token that is bound to a key needs its proof (RFC 9449); `required`: each token must be bound',
    ),
  DPOP_NONCE: flag()
    .default(false)
    .describe('`true`: proofs need a nonce of this API (RFC 9449 §9)'),
  INTROSPECTION_CLIENT_ID: z
    .string()
    .optional()
    .describe('client of this API at the issuer, the first of several, for opaque tokens'),
  INTROSPECTION_CLIENT_SECRET: z
    .string()
    .optional()
    .describe(
      'its secret, sent with `client_secret_basic`; without both, opaque tokens are refused',
    ),
  STEP_UP_ACR: z
    .string()
    .regex(
      /^[\x21\x23-\x5b\x5d-\x7e]+( +[\x21\x23-\x5b\x5d-\x7e]+)*$/,
      'must be words of ASCII without quotes, separated by spaces',
    )
    .optional()
    .describe(
      'to delete a contact or read the activity, the token needs one of these `acr`, separated by ' +
        'spaces (RFC 9470)',
    ),
  STEP_UP_MAX_AGE: wholeNumber('number of seconds', 0, 31_536_000)
    .optional()
    .describe('for the same: maximum seconds since the sign-in, `auth_time`'),
  CORS_ORIGINS: z
    .string()
    .transform(splitList)
    .refine((origins) => origins.every(isOrigin), {
      error: 'must be origins such as https://app.example.com, separated by commas',
    })
    .optional()
    .describe('origins whose pages may call the API, separated by commas'),
  TRUST_PROXY: flag()
    .default(false)
    .describe(
      '`true` behind one proxy of your own that sets `X-Forwarded-*`; its last `X-Forwarded-For` ' +
        "address is the caller's",
    ),
  DOCS_CLIENT_ID: z.string().optional().meta({
    description:
      'public client that signs in from `/docs`, with PKCE; its callback is `BASE_URL/docs/callback`',
    defaultText: '`contacts-docs` with an issuer on loopback, except in production; else none',
  }),
  METRICS_PORT: port(1).optional().describe('port of `GET /metrics` for Prometheus, on `HOST`'),
  OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint(),
  WEB_CONCURRENCY: wholeNumber('number of worker processes', 1, 64)
    .default(1)
    .describe('worker processes, 1 to 64; one that ends is replaced after a growing delay'),
  LOG_LEVEL: logLevel()
    .default('info')
    .describe('level of the log on standard output: JSON, or readable lines on a terminal'),
  NODE_ENV: z
    .string()
    .trim()
    .optional()
    .describe('`production`: a new database gets no demo contacts, with any issuer'),
});

export const SETTINGS = listSettings(Environment);

const DEMO_CLIENT_IDS = ['contacts-web', 'contacts-cli', 'contacts-docs'];

/** Reports whether the issuer is on this machine. A new database then gets demo contacts. */
function isDemo({ NODE_ENV, ISSUER_BASE_URL }: z.output<typeof Environment>): boolean {
  return (
    NODE_ENV !== 'production' &&
    ISSUER_BASE_URL.every((issuer) => isLoopback(new URL(issuer).hostname))
  );
}

/** Checks that processes share a store for nonces: each would refuse those of the others. */
function checkNonces(data: z.output<typeof Environment>, context: z.RefinementCtx): void {
  const { DPOP_NONCE, WEB_CONCURRENCY, STORE_URL } = data;
  if (!DPOP_NONCE || WEB_CONCURRENCY === 1 || !STORE_URL.startsWith('memory:')) return;
  const message =
    'must be redis://… or postgres://… when DPOP_NONCE is true and WEB_CONCURRENCY above 1';
  context.addIssue({ code: 'custom', path: ['STORE_URL'], message });
}

/** Checks that id and secret are both set, or neither. With one alone, opaque tokens would be refused. */
function checkIntrospection(data: z.output<typeof Environment>, context: z.RefinementCtx): void {
  const names = ['INTROSPECTION_CLIENT_ID', 'INTROSPECTION_CLIENT_SECRET'] as const;
  const missing = names.filter((name) => data[name] === undefined);
  if (missing.length !== 1) return;
  const [other] = names.filter((name) => !missing.includes(name));
  context.addIssue({ code: 'custom', path: missing, message: `must be set, as ${other} is` });
}

const Checked = Environment.superRefine(checkNonces).superRefine(checkIntrospection);

export const Settings = Checked.transform((data) => ({
  port: data.PORT,
  host: data.HOST,
  /** Without a slash at the end. Undefined stands for `http://localhost` and the server's port. */
  baseURL: parseURL(data.BASE_URL)?.href.replace(/\/$/, ''),
  issuerBaseURL: data.ISSUER_BASE_URL[0] as string,
  otherIssuers: data.ISSUER_BASE_URL.slice(1),
  audience: data.AUDIENCE,
  claimsNamespace: data.CLAIMS_NAMESPACE,
  databaseURL: data.DATABASE_URL,
  maxContacts: data.MAX_CONTACTS,
  rateLimits: { perSubject: data.RATE_LIMIT, refusedPerAddress: data.RATE_LIMIT_REFUSED },
  storeURL: data.STORE_URL,
  dpop: { required: data.DPOP === 'required', nonce: data.DPOP_NONCE },
  /** Undefined: opaque tokens are refused. */
  introspection:
    data.INTROSPECTION_CLIENT_ID === undefined || data.INTROSPECTION_CLIENT_SECRET === undefined
      ? undefined
      : {
          clientID: data.INTROSPECTION_CLIENT_ID,
          clientSecret: data.INTROSPECTION_CLIENT_SECRET,
        },
  /** Undefined when neither is set: any sign-in does. */
  stepUp:
    data.STEP_UP_ACR === undefined && data.STEP_UP_MAX_AGE === undefined
      ? undefined
      : { acr: data.STEP_UP_ACR, maxAge: data.STEP_UP_MAX_AGE },
  corsOrigins: data.CORS_ORIGINS ?? [],
  trustProxy: data.TRUST_PROXY,
  metricsPort: data.METRICS_PORT,
  hasTelemetry: data.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined,
  workers: data.WEB_CONCURRENCY,
  logLevel: data.LOG_LEVEL,
  logoutClientIds: data.LOGOUT_CLIENT_IDS ?? (isDemo(data) ? DEMO_CLIENT_IDS : []),
  docsClientId: data.DOCS_CLIENT_ID ?? (isDemo(data) ? 'contacts-docs' : undefined),
  isDemo: isDemo(data),
}));

export interface Settings extends z.output<typeof Settings> {}
