import { InvalidSettings, isSecureURL, parseURL, port } from '@koa-oauth/service';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Tenant } from './tenant/tenant.ts';

export const place = (example: string) =>
  z
    .string('must be a text')
    .trim()
    .regex(
      /^(memory:|file:(?!:memory:|file:).+)$/s,
      `must be memory: or file:PATH, for example ${example}`,
    );

export const issuerIdentifier = z
  .string('must be a text')
  .trim()
  .check(({ value, issues }) => {
    const message = issuerFault(value);
    if (message !== undefined) issues.push({ code: 'custom', message, input: value });
  })
  // The slash at the end is a part of Auth0's identifiers.
  .transform((value) => new URL(value).href);

/** A tenant with the Actions and rules that `loadTenant` has read. */
const loadedTenant = z.custom<Tenant>((value) => {
  const { postLogin, loginRules } = (value ?? {}) as Partial<Tenant>;
  return Array.isArray(postLogin) && Array.isArray(loginRules);
}, 'must be what loadTenant returns');

/** A number, or its digits from an environment variable. */
const portOption = z.coerce.string().pipe(port());

export const serverOptionsSchema = strict({
  tenant: loadedTenant,
  host: z.string('must be a text').optional(),
  port: portOption.optional(),
  issuer: issuerIdentifier.optional(),
  state: place('file:./data/issuer.db').optional(),
  keys: place('file:./data/issuer-keys.json').optional(),
  control: portOption.optional(),
  watch: z.boolean('must be true or false').optional(),
  logger: z
    .custom<Logger>(
      (value) => typeof (value as Logger | null)?.child === 'function',
      'must be a logger of pino',
    )
    .optional(),
});

/** Schema of an object without other members. */
export function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, 'must be an object');
}

/** Checks options, which no type checks in JavaScript. @throws InvalidSettings naming each wrong one. */
export function readOptions<Schema extends z.ZodType>(
  schema: Schema,
  options: unknown,
): z.output<Schema> {
  // It parses once: compiling the schema would take longer than that.
  const { success, data, error } = schema.safeParse(options, { jitless: true });
  if (success) return data;
  throw new InvalidSettings(
    error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${key} is unknown`);
      return `${issue.path.join('.') || 'options'} ${issue.message}`;
    }),
  );
}

/** @throws InvalidSettings for anything else than `loadTenant` returns */
export function checkTenant(tenant: unknown): asserts tenant is Tenant {
  readOptions(z.object({ tenant: loadedTenant }), { tenant });
}

/** Returns the fault of an issuer identifier (RFC 8414 §2), which here has no path either. */
function issuerFault(value: string): string | undefined {
  const example = 'for example http://localhost:3002/';
  const url = parseURL(value);
  if (!url) return `must be an absolute URL, ${example}`;
  if (!isSecureURL(url)) {
    return `must be an https URL, or http on a loopback address, ${example}`;
  }
  if (url.username || url.password) return `must have no user name or password, ${example}`;
  if (value.includes('?') || value.includes('#')) {
    return `must have no query or fragment (RFC 8414 §2), ${example}`;
  }
  return url.pathname === '/' ? undefined : `must have no path, ${example}`;
}
