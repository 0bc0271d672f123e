import { z } from 'zod';
import { InvalidSettings } from './errors.ts';

/** A setting as the table of a README shows it, in Markdown. */
export interface Setting {
  readonly name: string;
  readonly meaning: string;
  /** The default, or the text of `meta({ defaultText })`, or `none`. */
  readonly defaultText: string;
}

/**
 * Reads the settings of a service from its environment. An empty or blank variable counts as not set.
 *
 * To check settings together, give the schema a `superRefine` with `{ when: () => true }`. It then runs
 * even if one setting is wrong, so that one error names every fault. A `transform` turns names of
 * variables into names that the program uses.
 *
 * @example
 * const Environment = z.object({ PORT: port().default(3000).describe('port it listens on') });
 * export const SETTINGS = listSettings(Environment);
 * export const Settings = Environment.transform(({ PORT }) => ({ port: PORT }));
 *
 * const settings = readSettings(Settings, env);
 *
 * @returns the output of the schema, frozen
 * @throws InvalidSettings that names every wrong setting, without values
 */
export function readSettings<Schema extends z.ZodType>(
  schema: Schema,
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<z.output<Schema>> {
  const given = Object.entries(environment).filter(([, value]) => value?.trim());
  // It parses once: compiling the schema would take longer than that.
  const { success, data, error } = schema.safeParse(Object.fromEntries(given), { jitless: true });
  if (success) return Object.freeze(data);
  throw new InvalidSettings(
    error.issues.map(({ path, message }) => `${path.join('.')} ${message}`),
  );
}

/**
 * Lists the settings of a schema in its order, for the table of a README. The meaning is the setting's
 * description. For a setting without a default, `defaultText` says what applies.
 *
 * @example
 * const Environment = z.object({
 *   PORT: port().default(3000).describe('port it listens on'),
 *   BASE_URL: z.url().optional().meta({
 *     description: 'its public address',
 *     defaultText: '`http://localhost:PORT`',
 *   }),
 * });
 * listSettings(Environment)[0]; // { name: 'PORT', meaning: 'port it …', defaultText: '`3000`' }
 */
export function listSettings(schema: z.ZodObject): readonly Setting[] {
  return Object.entries<z.ZodType>(schema.shape).map(([name, setting]) => {
    const { description = '', defaultText = 'none' } = setting.meta() ?? {};
    const { data } = setting.safeParse(undefined);
    return {
      name,
      meaning: description,
      defaultText: data === undefined ? String(defaultText) : `\`${data}\``,
    };
  });
}

/**
 * Makes the schema of a setting that is a whole number in decimal digits.
 *
 * @example
 * const Environment = z.object({
 *   WEB_CONCURRENCY: wholeNumber('number of processes', 1, 64).default(1),
 * });
 * // WEB_CONCURRENCY=65: "must be a number of processes from 1 to 64"
 */
export function wholeNumber(noun: string, min: number, max: number) {
  const message = `must be a ${noun} from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max, message);
}

/**
 * Makes the schema of a setting that is on or off: `true` or `false`.
 *
 * @example
 * const Environment = z.object({ TRUST_PROXY: flag().default(false) });
 */
export function flag() {
  return z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .transform((value) => value === 'true');
}

/**
 * Splits the text of a setting at its commas. White space around an entry is removed.
 *
 * @example
 * const Environment = z.object({ ORIGINS: z.string().transform(splitList) });
 */
export function splitList(text: string): string[] {
  return text.split(',').map((entry) => entry.trim());
}

/**
 * Makes the schema of a setting that is a TCP port.
 *
 * @example
 * const Environment = z.object({
 *   PORT: port().default(3000),
 *   METRICS_PORT: port(1).optional(),
 * });
 *
 * @param min lowest port. Default 0: the system chooses a free port
 */
export function port(min = 0) {
  return wholeNumber('port number', min, 65_535);
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/**
 * Makes the schema of a setting that is a level of pino.
 *
 * @example
 * const Environment = z.object({ LOG_LEVEL: logLevel().default('info') });
 * const logger = pino({ level: readSettings(Environment, env).LOG_LEVEL });
 */
export function logLevel() {
  return z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` });
}

/**
 * Makes the schema of `OTEL_EXPORTER_OTLP_ENDPOINT`. The SDK of OpenTelemetry reads the variable itself: the
 * setting says whether to load it.
 *
 * @example
 * const Environment = z.object({ OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint() });
 * if (readSettings(Environment, env).OTEL_EXPORTER_OTLP_ENDPOINT) {
 *   const { startTelemetry } = await import('@koa-oauth/service/telemetry');
 * }
 */
export function otlpEndpoint() {
  return z
    .url({ protocol: /^https?$/, error: 'must be a URL such as http://localhost:4318' })
    .optional()
    .describe('OpenTelemetry collector (OTLP over HTTP), such as `http://localhost:4318`');
}

// Names under localhost are loopback too (RFC 6761 §6.3), and a name may end with the dot of the root.
const LOOPBACK = /^((?:[\w-]+\.)*localhost\.?|127(?:\.\d{1,3}){3}|\[?::1\]?)$/;

/**
 * Reports whether a host is this machine (RFC 8252 §7.3): `localhost`, a name under it, 127.0.0.0/8 or
 * `::1`. An IPv6 address may have the brackets of a URL.
 *
 * @example
 * isLoopback(new URL('http://[::1]:3002').hostname); // true
 * isLoopback('localhost.example.com'); // false
 */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/**
 * Reports whether no third party can read the traffic to a URL: it is `https`, or `http` on loopback.
 *
 * @example
 * const Environment = z.object({
 *   BASE_URL: z.url({ abort: true }).refine((url) => isSecureURL(new URL(url)), 'must use https'),
 * });
 */
export function isSecureURL({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

/**
 * Parses a URL, as `URL.parse` of Node 22 does. `URL.canParse` is not used: that of Node 20 and 22 rejects
 * an international name such as `https://é.example/` once the function that calls it is optimized.
 *
 * @returns `undefined` for any value except the text of a URL
 * @example
 * parseURL('https://tenant.example.com/')?.hostname; // 'tenant.example.com'
 * parseURL('tenant.example.com'); // undefined
 */
export function parseURL(value: unknown, base?: string | URL): URL | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return new URL(value, base);
  } catch {
    return undefined;
  }
}

/**
 * Reports whether a value is the URL of a Redis or PostgreSQL server, with a user name and a password that
 * can be decoded.
 *
 * @example
 * const Environment = z.object({
 *   STORE_URL: z.string().refine(isServerURL, 'must be redis://HOST:PORT'),
 * });
 */
export function isServerURL(value: string): boolean {
  const url = parseURL(value);
  if (!url || !/^(rediss?|postgres(ql)?):\/\/[^/]/.test(value)) return false;
  try {
    decodeURIComponent(url.username + url.password);
    return true;
  } catch {
    return false;
  }
}
