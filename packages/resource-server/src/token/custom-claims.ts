import { answerInTime, isNoAnswer } from '@koa-oauth/issuer';
import { AuthError, unavailable } from '../errors.ts';

/** Used part of Standard Schema 1 (standardschema.dev), which zod, valibot, arktype and others have. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly unknown[] | undefined;
      }[];
    };

/** Custom claims of an API: their prefix in the token, and their schema. */
export interface CustomClaims<Output> {
  /** Prefix of the claims' names in the token: a URL of your own, `https://contacts.example.com/`. */
  readonly namespace: string;
  /** Schema of an object that has the claims without their prefix. */
  readonly schema: StandardSchema<Output>;
}

/**
 * Reads the custom claims of a verified token.
 *
 * @throws AuthError `ERR_CLAIM_MISMATCH` (403) when they do not fit the schema; the token is genuine, so
 *   not 401. `ERR_CLAIMS_UNAVAILABLE` (503) when the schema does not answer in time
 */
export async function readCustomClaims<Output>(
  payload: Readonly<Record<string, unknown>>,
  { namespace, schema }: CustomClaims<Output>,
): Promise<Output> {
  const claims: Record<string, unknown> = Object.fromEntries(
    Object.entries(payload)
      .filter(([name]) => name.startsWith(namespace))
      .map(([name, value]) => [name.slice(namespace.length), value]),
  );
  const result = await validate(schema, claims);
  if (result.issues === undefined) return result.value;
  // Not the messages of the schema: they can quote a claim, and so name a person.
  const names = new Set(result.issues.map(({ path }) => nameOf(path?.[0])));
  throw new AuthError('ERR_CLAIM_MISMATCH', {
    message: 'a custom claim of the access token does not fit',
    detail: `the schema refused ${[...names].slice(0, 10).join(', ') || 'the claims'}`,
  });
}

async function validate<Output>(
  schema: StandardSchema<Output>,
  claims: unknown,
): Promise<SchemaResult<Output>> {
  try {
    return await answerInTime(schema['~standard'].validate(claims));
  } catch (error) {
    // A schema that throws is a fault of the app.
    throw isNoAnswer(error) ? unavailable('ERR_CLAIMS_UNAVAILABLE', 'the schema', error) : error;
  }
}

// A segment of the path is the name itself or an object that holds it. Deeper ones can be values.
function nameOf(segment: unknown): string {
  const key = typeof segment === 'object' ? (segment as { key?: unknown } | null)?.key : segment;
  return typeof key === 'string' && /^[\w.:/-]{1,60}$/.test(key) ? `"${key}"` : 'the claims';
}
