import { isLoopback, isSecureURL, parseIssuerIdentifier } from '@koa-oauth/resource-server';
import { z } from 'zod';

/** Settings that can't work; the message names every one of them and says what would be right. */
export class InvalidSettings extends Error {
  override readonly name = 'InvalidSettings';
}

const httpUrl = (text: string) => z.url({ protocol: /^https?$/, error: `must be ${text}` });

const PORT_TEXT = 'must be a port number from 0 to 65535';

const Environment = z.object({
  PORT: z
    .string()
    .regex(/^\d{1,5}$/, PORT_TEXT)
    .transform(Number)
    .refine((port) => port <= 65535, PORT_TEXT)
    .default(3001),
  HOST: z
    .string()
    .min(1, 'must be an address to listen on, such as 127.0.0.1')
    .default('127.0.0.1'),
  BASE_URL: httpUrl('the public address of this API, such as https://api.example.com')
    .refine((value) => isSecureURL(new URL(value)), 'must use https (http only on loopback)')
    .optional(),
  ISSUER_BASE_URL: z
    .string()
    .default('http://localhost:3002')
    .superRefine((value, context) => {
      try {
        parseIssuerIdentifier(value);
      } catch (error) {
        const message = (error as Error).message.replace(/^issuerBaseURL /, '');
        context.addIssue({ code: 'custom', message });
      }
    }),
  AUDIENCE: z
    .string()
    .trim()
    .min(1, 'must be the identifier of this API')
    .default('https://contacts.example.com/api'),
  CLAIMS_NAMESPACE: httpUrl(
    'the URL that prefixes the custom claims, such as https://contacts.example.com/',
  ).default('https://contacts.example.com/'),
  DATABASE_URL: z
    .string()
    .regex(
      /^(file:.+|postgres(ql)?:\/\/.+)$/s,
      'must be file:PATH or postgres://USER@HOST/DATABASE',
    )
    .default('file:./data/contacts.db'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'must be fatal, error, warn, info, debug, trace or silent',
    })
    .default('info'),
});

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
  readonly logLevel: string;
  /** Whether the issuer is on this machine, so that this is a demonstration and gets demo contacts. */
  readonly demo: boolean;
}

/**
 * Reads the settings from the environment. An empty variable counts as not set.
 *
 * @throws InvalidSettings that names every setting at fault
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const present = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== ''),
  );
  const { success, data, error } = Environment.safeParse(present);
  if (!success) {
    const lines = error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`);
    throw new InvalidSettings(`these settings are wrong:\n${lines.join('\n')}`);
  }
  return Object.freeze({
    port: data.PORT,
    host: data.HOST,
    baseURL: data.BASE_URL?.replace(/\/$/, ''),
    issuerBaseURL: data.ISSUER_BASE_URL,
    audience: data.AUDIENCE,
    claimsNamespace: data.CLAIMS_NAMESPACE,
    databaseURL: data.DATABASE_URL,
    logLevel: data.LOG_LEVEL,
    demo: isLoopback(new URL(data.ISSUER_BASE_URL)),
  });
}
