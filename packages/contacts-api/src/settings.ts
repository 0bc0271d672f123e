import { createIssuer } from '@koa-oauth/resource-server';
import {
  isLoopback,
  isSecureURL,
  listSettings,
  logLevel,
  port,
  wholeNumber,
} from '@koa-oauth/service';
import { z } from 'zod';
import type { RateLimitOptions } from './http/rate-limits.ts';

const httpUrl = (text: string) => z.url({ protocol: /^https?$/, error: `must be ${text}` });

function isPlain(text: string): boolean {
  const { username, password, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === '';
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && text.startsWith('http');
}

const Environment = z.object({
  PORT: port().default(3001).describe('port it listens on; 0: any free one'),
  HOST: z
    .string()
    .min(1, 'must be an address to listen on, such as 127.0.0.1')
    .default('127.0.0.1')
    .describe('address it listens on'),
  BASE_URL: httpUrl('the public address of this API, such as https://api.example.com')
    .refine((value) => isSecureURL(new URL(value)), 'must use https (http only on loopback)')
    .refine(isPlain, 'must have no user, query or fragment')
    .optional()
    .meta({ description: 'its public address', defaultText: '`http://localhost:PORT`' }),
  ISSUER_BASE_URL: z
    .string()
    .default('http://localhost:3002')
    .superRefine((value, context) => {
      try {
        createIssuer({ issuerBaseURL: value });
      } catch (error) {
        const message = (error as Error).message.replace(/^issuerBaseURL /, '');
        context.addIssue({ code: 'custom', message });
      }
    })
    .describe('the issuer, `https`; `http` only on loopback'),
  AUDIENCE: z
    .string()
    .trim()
    .min(1, 'must be the identifier of this API')
    .default('https://contacts.example.com/api')
    .describe("this API's identifier; `aud` must contain it"),
  CLAIMS_NAMESPACE: httpUrl(
    'the URL that prefixes the custom claims, such as https://contacts.example.com/',
  )
    .regex(/[/#]$/, 'must end with / or #: the names of the claims follow it at once')
    .default('https://contacts.example.com/')
    .describe('prefix of its custom claims, up to its `/` or `#`'),
  DATABASE_URL: z
    .string()
    .regex(
      /^(file:.+|postgres(ql)?:\/\/.+)$/s,
      'must be file:PATH or postgres://USER@HOST/DATABASE',
    )
    .default('file:./data/contacts.db')
    .describe(
      '`file:PATH` (libsql, one machine) or `postgres://…` (any number of processes and machines)',
    ),
  RATE_LIMIT: wholeNumber('number of requests a minute', 1, 1_000_000)
    .default(600)
    .describe('requests a minute of one subject, then 429'),
  RATE_LIMIT_REFUSED: wholeNumber('number of refused tokens a minute', 1, 1_000_000)
    .default(120)
    .describe(
      'refused tokens a minute from one address, then 429 in place of 401; a good token from ' +
        'there is served all the same',
    ),
  RATE_LIMIT_STORE_URL: z
    .string()
    .regex(/^(memory:|rediss?:\/\/.+)$/s, 'must be memory: or redis://HOST:PORT')
    .default('memory:')
    .describe(
      '`memory:`, counted by each process for itself; `redis://…`, by all together (by each while ' +
        'Redis is away)',
    ),
  CORS_ORIGINS: z
    .string()
    .transform((list) => list.split(',').map((origin) => origin.trim()))
    .refine((origins) => origins.every(isOrigin), {
      error: 'must be origins such as https://app.example.com, with commas between them',
    })
    .optional()
    .describe('origins whose pages may call the API, with commas between them'),
  TRUST_PROXY: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .transform((value) => value === 'true')
    .default(false)
    .describe(
      '`true` behind one proxy of yours that sets `X-Forwarded-*`; the address it adds is the ' +
        "caller's",
    ),
  METRICS_PORT: port(1)
    .optional()
    .describe('where `GET /metrics` answers, on `HOST`, for Prometheus'),
  WEB_CONCURRENCY: wholeNumber('number of worker processes', 1, 64)
    .default(1)
    .describe(
      'processes that serve, 1 to 64; one that ends by itself is replaced, after a pause that grows',
    ),
  LOG_LEVEL: logLevel()
    .default('info')
    .describe('of the log on standard output: JSON, or lines for people on a terminal'),
});

/** Every setting that is read, in the order of the README. */
export const SETTINGS = listSettings(Environment);

/** What the API needs to know, checked. Each setting and its default are in the README's table. */
export interface Settings {
  readonly port: number;
  readonly host: string;
  /** Without a slash at its end; undefined: `http://localhost:` and the port it listens on. */
  readonly baseURL: string | undefined;
  readonly issuerBaseURL: string;
  readonly audience: string;
  readonly claimsNamespace: string;
  readonly databaseURL: string;
  readonly rateLimits: Omit<RateLimitOptions, 'onStoreChange'>;
  readonly corsOrigins: readonly string[];
  readonly trustProxy: boolean;
  /** Undefined: no metrics. */
  readonly metricsPort: number | undefined;
  /** How many processes serve. */
  readonly workers: number;
  readonly logLevel: string;
  /** Whether the issuer is on this machine, so that this is a demonstration and gets demo contacts. */
  readonly demo: boolean;
}

/** Reads the environment, with `readSettings`. */
export const Settings = Environment.transform(
  (data): Settings => ({
    port: data.PORT,
    host: data.HOST,
    baseURL: data.BASE_URL?.replace(/\/$/, ''),
    issuerBaseURL: data.ISSUER_BASE_URL,
    audience: data.AUDIENCE,
    claimsNamespace: data.CLAIMS_NAMESPACE,
    databaseURL: data.DATABASE_URL,
    rateLimits: {
      perSubject: data.RATE_LIMIT,
      refusedPerAddress: data.RATE_LIMIT_REFUSED,
      storeURL: data.RATE_LIMIT_STORE_URL,
    },
    corsOrigins: data.CORS_ORIGINS ?? [],
    trustProxy: data.TRUST_PROXY,
    metricsPort: data.METRICS_PORT,
    workers: data.WEB_CONCURRENCY,
    logLevel: data.LOG_LEVEL,
    demo: isLoopback(new URL(data.ISSUER_BASE_URL).hostname),
  }),
);
