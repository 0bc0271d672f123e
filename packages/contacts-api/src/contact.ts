import { z } from 'zod';
import { InvalidInput } from './errors.ts';

// Characters that have no place in a name and could harm a terminal, a log or a page: C0, C1, DEL,
// half a surrogate pair, and the marks that reverse the reading direction.
const CONTROL = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
const CONTROL_IN_TEXT = /[^\P{Cc}\n\t]|[\p{Cs}\u202a-\u202e\u2066-\u2069]/u;

const line = (max: number) =>
  z
    .string()
    .trim()
    .max(max, `must be at most ${max} characters`)
    .refine((value) => !CONTROL.test(value), 'must not contain control characters');

/** What a caller may say of a contact. */
export const ContactInput = z.strictObject({
  name: line(200).min(1, 'must not be empty'),
  email: line(254).pipe(z.email('must be an e-mail address')),
  phone: line(50).optional(),
  company: line(200).optional(),
  notes: z
    .string()
    .max(5000, 'must be at most 5000 characters')
    .refine((value) => !CONTROL_IN_TEXT.test(value), 'must not contain control characters')
    .optional(),
});

export type ContactInput = z.infer<typeof ContactInput>;

/** A contact as the API gives it out. Times are ISO 8601, in UTC. */
export interface Contact extends ContactInput {
  readonly id: string;
  readonly version: number;
  readonly created_at: string;
  readonly updated_at: string;
}

/** Checks a body. @throws InvalidInput (422) that names every field at fault */
export function parseContactInput(body: unknown): ContactInput {
  const { success, data, error } = ContactInput.safeParse(body);
  if (success) return data;
  throw new InvalidInput(
    422,
    error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((key) => ({
          field: key.slice(0, 100),
          message: 'is not a field of a contact',
        }));
      }
      const field = issue.path.join('.') || 'body';
      const absent = issue.code === 'invalid_type' && issue.input === undefined;
      return { field, message: absent ? 'is required' : issue.message };
    }),
  );
}
