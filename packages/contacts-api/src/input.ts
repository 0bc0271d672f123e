import type { z } from 'zod';
import { InvalidInput } from './errors.ts';

/**
 * Checks what a caller sent against a schema.
 *
 * @param status 400 for a query, 422 for a body
 * @returns what the schema made of it
 * @throws InvalidInput that names every field at fault
 */
export function readInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  status: 400 | 422,
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  throw new InvalidInput(
    status,
    error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({
          field: key.slice(0, 100),
          message: 'is not known here',
        }));
      }
      const field = issue.path.join('.') || 'body';
      if (issue.code !== 'invalid_type') return { field, message: issue.message };
      const absent = issue.input === undefined;
      return { field, message: absent ? 'is required' : `must be a ${issue.expected}` };
    }),
  );
}
