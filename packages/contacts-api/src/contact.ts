import { z } from 'zod';

// Characters that could harm a terminal, a log or a page: C0, C1, DEL, half a surrogate pair, and the
// marks that reverse the reading direction.
const UNSAFE_IN_LINE = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
// The same, except line feed and tab.
const UNSAFE_IN_TEXT = /[^\P{Cc}\n\t]|[\p{Cs}\u202a-\u202e\u2066-\u2069]/u;

const line = (max: number) =>
  z
    .string()
    .trim()
    .max(max, `must be at most ${max} characters`)
    .refine((value) => !UNSAFE_IN_LINE.test(value), 'must not contain control characters');

// Spaces, characters that no font draws (Unicode: Default_Ignorable_Code_Point), and blank letters.
const VISIBLE = /[^\p{Z}\p{Cc}\p{Default_Ignorable_Code_Point}\u2800\ufff9-\ufffb\u{1d159}]/u;

// RFC 5322 §3.2.3 and §3.4.1 without quotes, comments and IP addresses, with letters of all languages
// (RFC 6531 §3.3, RFC 5890 §2.3.2.1).
const LOCAL =
  "(?:[\\w!#$%&'*+/=?^`{|}~-]|[^\\p{ASCII}\\p{Z}\\p{C}\\p{Default_Ignorable_Code_Point}])+";
const LABEL = '[\\p{L}\\p{N}](?:[\\p{L}\\p{M}\\p{N}-]*[\\p{L}\\p{M}\\p{N}])?';
const EMAIL = new RegExp(`^${LOCAL}(?:\\.${LOCAL})*@(?:${LABEL}\\.)+(?!\\d+$)(?=..)${LABEL}$`, 'u');

const name = line(200)
  .min(1, 'must not be empty')
  .refine((value) => value === '' || VISIBLE.test(value), 'must not be empty');
const email = line(254)
  .pipe(z.string().regex(EMAIL, 'must be an e-mail address'))
  .meta({ format: 'idn-email' });
const phone = line(50);
const company = line(200);
const notes = z
  .string()
  .max(5000, 'must be at most 5000 characters')
  .refine((value) => !UNSAFE_IN_TEXT.test(value), 'must not contain control characters');

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

/** One entry for each field: where a new field is missing, this does not compile. */
export type EachField<Entry> = Readonly<Record<keyof ContactInput, Entry>>;

/** A merge patch (RFC 7396 §2) of a contact: an absent member stays, null removes a member. */
export const ContactPatch = z
  .strictObject({
    name: name.optional(),
    email: email.optional(),
    phone: phone.nullish(),
    company: company.nullish(),
    notes: notes.nullish(),
  } satisfies EachField<z.ZodType>)
  .meta({ id: 'ContactPatch', examples: [{ phone: '+44 20 7946 0000', notes: null }] });

export type ContactPatch = z.infer<typeof ContactPatch>;

/** A contact as the API answers with it. Times are ISO 8601, in UTC. */
export const Contact = z
  .object({
    id: z.uuid(),
    name: z.string(),
    email: z.string(),
    phone: z.string().optional(),
    company: z.string().optional(),
    notes: z.string().optional(),
    version: z
      .int()
      .min(1)
      .meta({ description: 'number of the state, also in the `ETag`; each change adds one' }),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  } satisfies EachField<z.ZodType> & Record<string, z.ZodType>)
  .meta({ id: 'Contact' });

export type Contact = Readonly<z.infer<typeof Contact>>;

/** Orders of a list. A `-` reverses the order. */
export const ContactSort = z.enum(
  ['name', '-name', 'created_at', '-created_at', 'updated_at', '-updated_at'],
  { error: 'must be name, created_at or updated_at, with "-" before it to reverse the order' },
);

export type ContactSort = z.infer<typeof ContactSort>;

export const SearchText = line(200);

export function applyPatch(current: Contact, patch: ContactPatch): ContactInput {
  const { name, email, phone, company, notes } = { ...current, ...patch };
  return {
    name,
    email,
    phone: phone ?? undefined,
    company: company ?? undefined,
    notes: notes ?? undefined,
  } satisfies EachField<unknown>;
}

const ACTIONS = ['created', 'updated', 'deleted'] as const;
export type Action = (typeof ACTIONS)[number];

/** A change of a contact. It holds no data of the contact, so that a deletion leaves none. */
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
