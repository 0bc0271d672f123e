import type { AuthorizationParams } from '@koa-oauth/client';
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
} from '@koa-oauth/service';
import { z } from 'zod';

const CLIENT_AUTH_METHODS = ['client_secret_post', 'client_secret_basic'] as const;
const IDP_LOGOUT = ['yes', 'id_token_hint', 'no'] as const;
const SECRET_TEXT =
  'must be 32 random characters or more, without repetitions, or several such secrets separated by ' +
  'commas, newest first (`openssl rand -base64 32` makes one)';

// Client of the demo tenant. Its secret is public.
const DEMO_CLIENT = { id: 'contacts-web', secret: 'contacts-web-demo-secret' };

const secureURL = (example: string) =>
  z.string().refine(
    (value) => {
      const url = parseURL(value);
      return !!url && isSecureURL(url) && !/[?#\s]/.test(value) && !url.username && !url.password;
    },
    { error: `must be an https URL (http on a loopback address only), such as ${example}` },
  );

const Environment = z.object({
  PORT: port()
    .default(3000)
    .describe('port of the app; `0`: any free port, then `BASE_URL` is required'),
  HOST: z.string().default('127.0.0.1').describe('address that the app listens on'),
  BASE_URL: secureURL('https://contacts.example.com')
    .refine((value) => (parseURL(value)?.pathname ?? '/') === '/', {
      error: 'must have no path, such as https://contacts.example.com',
    })
    .optional()
    .meta({
      description: 'public address of the app, without a path; the callback is below it',
      defaultText: '`http://localhost:PORT`',
    }),
  ISSUER_BASE_URL: secureURL('https://tenant.example.com/')
    .default('http://localhost:3002')
    .describe('the issuer, `https`; `http` only on loopback'),
  CLIENT_ID: z.string().optional().meta({
    description: 'client id of the app; required unless the issuer is on loopback',
    defaultText: 'the demo client',
  }),
  CLIENT_SECRET: z.string().optional().meta({
    description: 'client secret of the app; required unless the issuer is on loopback',
    defaultText: 'the secret of the demo client',
  }),
  CLIENT_AUTH_METHOD: z
    .enum(CLIENT_AUTH_METHODS, { error: `must be ${CLIENT_AUTH_METHODS.join(' or ')}` })
    .default('client_secret_post')
    .describe('`client_secret_post` or `client_secret_basic`'),
  API_BASE_URL: secureURL('https://api.example.com')
    .default('http://localhost:3001')
    .describe('address of the API'),
  AUDIENCE: z
    .string()
    .default('https://contacts.example.com/api')
    .describe('identifier of the API; access tokens are requested for it'),
  SCOPE: z
    .string()
    .refine((value) => value.split(/\s+/).includes('openid'), {
      error: 'must contain openid, such as "openid profile email offline_access read:contacts"',
    })
    .default(
      'openid profile email offline_access ' +
        'read:contacts create:contacts update:contacts delete:contacts read:activity',
    )
    .describe('scopes that a sign-in requests'),
  AUTHORIZATION_PARAMS: z
    .string()
    .optional()
    .meta({
      description:
        'further parameters of a sign-in, as a query: `prompt=consent&resource=https://api.example.com`; ' +
        'an empty one, such as `audience=`, is not sent',
    }),
  DPOP: flag()
    .default(false)
    .describe('`true`: the tokens of each session are bound to a key of its own (RFC 9449)'),
  IDP_LOGOUT: z
    .enum(IDP_LOGOUT, { error: `must be ${IDP_LOGOUT.join(' or ')}` })
    .default('yes')
    .describe(
      '`yes`: signing out here ends the session at the issuer too; `id_token_hint`: it posts the ID ' +
        'token there; `no`: it ends here',
    ),
  SECRET: z
    .string()
    .refine((value) => readSecrets(value).length > 0, SECRET_TEXT)
    .refine((value) => readSecrets(value).every(isStrong), SECRET_TEXT)
    .optional()
    .meta({
      description:
        'encrypts cookies and sessions, 32 characters or more; to rotate, put the new one first, ' +
        'before a comma; required unless the issuer is on loopback',
      defaultText: 'created once, stored in `./data`',
    }),
  SESSION_STORE_URL: z
    .string()
    .refine((value) => /^(memory:|file:(?!:memory:|file:).+)$/s.test(value) || isServerURL(value), {
      error:
        'must be memory:, file:PATH such as file:./data/sessions.db, redis://HOST:PORT ' +
        '(rediss:// over TLS) or postgres://HOST:PORT/DATABASE, in whose user name and password ' +
        '"@", "/", "#" and "%" are encoded',
    })
    .default('file:./data/sessions.db')
    .describe(
      '`memory:`, `file:PATH`, or for several processes `redis://…` (`rediss://…` over TLS) or ' +
        '`postgres://…`',
    ),
  SHOW_TOKENS: z.enum(['yes', 'no'], { error: 'must be yes or no' }).optional().meta({
    description:
      '`yes`: `/session` shows developers the tokens and the flow; refused with `NODE_ENV=production`',
    defaultText: '`yes` with an issuer on loopback and no `NODE_ENV=production`, else `no`',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint(),
  NODE_ENV: z.string().optional().describe('`production`: see `SHOW_TOKENS`'),
  LOG_LEVEL: logLevel().default('info').describe('level of the JSON log on standard output'),
});

/** All settings, in the order of the README. */
export const SETTINGS = listSettings(Environment);

/** Schema of the environment, for `readSettings`. */
export const Settings = Environment.superRefine(checkCombinations, { when: () => true }).transform(
  (data) => ({
    port: data.PORT,
    host: data.HOST,
    /** Without a slash at its end. */
    baseURL: (data.BASE_URL ?? `http://localhost:${data.PORT}`).replace(/\/$/, ''),
    issuerBaseURL: data.ISSUER_BASE_URL,
    clientID: data.CLIENT_ID ?? DEMO_CLIENT.id,
    clientSecret: data.CLIENT_SECRET ?? DEMO_CLIENT.secret,
    clientAuthMethod: data.CLIENT_AUTH_METHOD,
    apiBaseURL: data.API_BASE_URL,
    audience: data.AUDIENCE,
    scope: data.SCOPE.trim().split(/\s+/).join(' '),
    /** In addition to scope and audience. */
    authorizationParams: readParams(data.AUTHORIZATION_PARAMS ?? ''),
    dpop: data.DPOP,
    idpLogout: data.IDP_LOGOUT === 'id_token_hint' ? data.IDP_LOGOUT : data.IDP_LOGOUT === 'yes',
    /** Newest first. If empty, the app creates one and stores it in `./data`. */
    secrets: readSecrets(data.SECRET ?? ''),
    /** It may contain a password. */
    sessionStoreURL: data.SESSION_STORE_URL,
    /** Shows the flow and the tokens on `/session`. For development only. */
    showTokens: data.SHOW_TOKENS
      ? data.SHOW_TOKENS === 'yes'
      : data.NODE_ENV !== 'production' && isOnLoopback(data.ISSUER_BASE_URL),
    hasTelemetry: data.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined,
    logLevel: data.LOG_LEVEL,
  }),
);

/** Validated settings. The README lists each with its default. */
export interface Settings extends z.output<typeof Settings> {}

/** Checks settings that depend on each other. Defaults are for a demo on one machine only. */
function checkCombinations(data: z.output<typeof Environment>, context: z.RefinementCtx): void {
  const report = (name: keyof typeof data, message: string) =>
    context.addIssue({ code: 'custom', path: [name], message });
  // When another setting is invalid, values are still texts here.
  if (Number(data.PORT) === 0 && !data.BASE_URL) {
    report('BASE_URL', 'must be set when PORT is 0, to the address that browsers will use');
  }
  if (data.SHOW_TOKENS === 'yes' && data.NODE_ENV === 'production') {
    report('SHOW_TOKENS', 'must not be yes when NODE_ENV is production: it is for developers');
  }
  if (!parseURL(data.ISSUER_BASE_URL) || isOnLoopback(data.ISSUER_BASE_URL)) return;
  const required = {
    CLIENT_ID: 'must be set to the client id of this app at the issuer',
    CLIENT_SECRET: 'must be set to the client secret of this app at the issuer',
    SECRET: `${SECRET_TEXT}: required unless the issuer is on a loopback address`,
  } as const;
  for (const [name, text] of Object.entries(required)) {
    if (!data[name as keyof typeof required]) report(name as keyof typeof required, text);
  }
}

function readParams(query: string): AuthorizationParams {
  const entries = [...new URLSearchParams(query)].map(([name, value]) => {
    if (value === '') return [name, undefined];
    return [name, name === 'max_age' ? Number(value) : value];
  });
  return Object.fromEntries(entries);
}

function isOnLoopback(url: string): boolean {
  return isLoopback(new URL(url).hostname);
}

/** Reports whether a secret can be random, as `auth` of the client does. */
function isStrong(secret: string): boolean {
  const isRepeatedWord = /^(.{1,16})\1+.{0,15}$/s.test(secret);
  return secret.length >= 32 && new Set(secret).size >= 8 && !isRepeatedWord;
}

function readSecrets(text: string): string[] {
  return splitList(text).filter((secret) => secret !== '');
}
