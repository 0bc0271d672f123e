import { z } from 'zod';

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

const name = line(200).min(1, 'must not be empty');
const email = line(254).pipe(z.email('must be an e-mail address')).meta({ format: 'email' });
const phone = line(50);
const company = line(200);
const notes = z
  .string()
  .max(5000, 'must be at most 5000 characters')
  .refine((value) => !CONTROL_IN_TEXT.test(value), 'must not contain control characters');

/** What a caller may say of a contact. */
export const ContactInput = z
  .strictObject({
    name,
    email,
    phone: phone.optional(),
    company: company.optional(),
    notes: notes.optional(),
  })
  .meta({
    id: 'ContactInput',
    examples: [{ name: 'Grace Hopper', email: 'grace@example.com', company: 'COBOL & Sons' }],
  });

export type ContactInput = z.infer<typeof ContactInput>;

/** A merge patch (RFC 7396) of a contact: what is absent stays, what is null goes. */
export const ContactPatch = z
  .strictObject({
    name: name.optional(),
    email: email.optional(),
    phone: phone.nullish(),
    company: company.nullish(),
    notes: notes.nullish(),
  })
  .meta({ id: 'ContactPatch', examples: [{ phone: '+44 20 7946 0000', notes: null }] });

export type ContactPatch = z.infer<typeof ContactPatch>;

/** A contact as the API gives it out. Times are ISO 8601, in UTC. */
export const Contact = z
  .object({
    id: z.uuid(),
    name: z.string(),
    email: z.string(),
    phone: z.string().optional(),
    company: z.string().optional(),
    notes: z.string().optional(),
    version: z.int().min(1).meta({ description: 'counts the changes; its `ETag` too' }),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: 'Contact' });

export type Contact = Readonly<z.infer<typeof Contact>>;

/** What a list may be sorted by; `-` turns it round. */
export const ContactSort = z.enum(
  ['name', '-name', 'created_at', '-created_at', 'updated_at', '-updated_at'],
  { error: 'must be name, created_at or updated_at, with a "-" before it to turn it round' },
);

export type ContactSort = z.infer<typeof ContactSort>;

/** Text to look for. */
export const SearchText = line(200);

/** Applies a merge patch (RFC 7396 §2) to a contact. */
export function applyPatch(current: Contact, patch: ContactPatch): ContactInput {
  const { name, email, phone, company, notes } = { ...current, ...patch };
  return {
    name,
    email,
    phone: phone ?? undefined,
    company: company ?? undefined,
    notes: notes ?? undefined,
  };
}

export const ACTIONS = ['created', 'updated', 'deleted'] as const;
export type Action = (typeof ACTIONS)[number];

/** Who did what to which contact, and when. Nothing of the contact itself: it may be gone for a reason. */
export const Activity = z
  .object({
    id: z.uuid(),
    at: z.iso.datetime(),
    subject: z.string().meta({ description: 'the `sub` of the access token' }),
    client_id: z
      .string()
      .nullable()
      .meta({ description: 'the client that the token was issued to' }),
    action: z.enum(ACTIONS),
    contact_id: z.uuid(),
  })
  .meta({ id: 'Activity' });

export type Activity = z.infer<typeof Activity>;
