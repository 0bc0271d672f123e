import { z } from 'zod';
import { InvalidSettings } from './errors.ts';

/** A setting as a README shows it, in Markdown. */
export interface Setting {
  readonly name: string;
  readonly meaning: string;
  /** The default, or what holds without one. */
  readonly preset: string;
}

/**
 * Reads the settings of a service from its environment. A variable that is empty or blank counts as
 * not set.
 *
 * A check that spans several settings is a `superRefine` of the schema. With `{ when: () => true }`
 * it runs also if single settings are wrong, so that all faults are named at once. The names of the
 * variables become those of the program in a `transform`.
 *
 * @example
 * const Environment = z.object({ PORT: port().default(3000).describe('port it listens on') });
 * export const SETTINGS = listSettings(Environment);
 * export const Settings = Environment.transform(({ PORT }) => ({ port: PORT }));
 *
 * const settings = readSettings(Settings, env);
 *
 * @returns what the schema makes of them, frozen
 * @throws InvalidSettings that names every setting at fault, and repeats no value
 */
export function readSettings<Schema extends z.ZodType>(
  schema: Schema,
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<z.output<Schema>> {
  const given = Object.entries(environment).filter(([, value]) => value?.trim());
  const { success, data, error } = schema.safeParse(Object.fromEntries(given));
  if (success) return Object.freeze(data);
  throw new InvalidSettings(
    error.issues.map(({ path, message }) => `${path.join('.')} ${message}`),
  );
}

/**
 * Lists the settings of a schema in its order, for the table of a README. The meaning is the
 * description of each; `meta({ otherwise })` says what holds where there is no default.
 */
export function listSettings(schema: z.ZodObject): readonly Setting[] {
  return Object.entries<z.ZodType>(schema.shape).map(([name, setting]) => {
    const { description = '', otherwise = 'none' } = setting.meta() ?? {};
    const { data: preset } = setting.safeParse(undefined);
    return {
      name,
      meaning: description,
      preset: preset === undefined ? String(otherwise) : `\`${preset}\``,
    };
  });
}

/** A whole number in decimal digits. @param expected what the message says that it must be */
export function wholeNumber(expected: string, min: number, max: number) {
  const message = `must be ${expected}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max, message);
}

/** A TCP port. @param min default 0, by which the system chooses a free one */
export function port(min = 0) {
  return wholeNumber(`a port number from ${min} to 65535`, min, 65_535);
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** A level of pino. */
export function logLevel() {
  return z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` });
}

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/;

/**
 * Reports whether a host is this machine (RFC 8252 §7.3): `localhost`, 127.0.0.0/8 or `::1`.
 *
 * @param host as a URL or the operating system writes it, with or without brackets
 */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** Reports whether only both ends can read what goes to a URL: `https`, or `http` on loopback. */
export function isSecureURL({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}
