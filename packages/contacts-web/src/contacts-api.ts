import { type Api, ApiError, type ApiResponse, hasCode } from '@koa-oauth/client';
import { z } from 'zod';

// JSON can carry half of a surrogate pair, of which no URL can be made.
const Text = z.string().regex(/^\P{Surrogate}*$/u);

// The API's answers, as far as this app shows them; what else they hold is left aside.
const Contact = z.object({
  id: Text,
  name: Text,
  email: Text,
  phone: Text.nullish(),
  company: Text.nullish(),
  notes: Text.nullish(),
});
const ContactList = z.object({ items: z.array(Contact), next: z.string().nullish() });
const Problem = z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) });

export type Contact = z.infer<typeof Contact>;

export interface ContactPage {
  readonly contacts: readonly Contact[];
  /** Whether the API has more than these. */
  readonly hasMore: boolean;
}

/** The fields of a contact as typed: trimmed or not, complete or not. */
export const CONTACT_FIELDS = ['name', 'email', 'phone', 'company', 'notes'] as const;
export type ContactField = (typeof CONTACT_FIELDS)[number];
export type ContactDraft = Readonly<Record<ContactField, string>>;

/**
 * The API refused what was typed: for each field it named, what it says of that field ("must not be
 * empty"), and of anything else whole sentences.
 */
export interface Refusal {
  readonly fields: Readonly<Partial<Record<ContactField, string>>>;
  readonly other: readonly string[];
}

const FORBIDDEN = 403;
const REFUSED_INPUT = [400, 413, 422];

/** @throws ApiError, or what the session's access token rejects with */
export async function listContacts(api: Api): Promise<ContactPage> {
  const { body } = await theirs([FORBIDDEN], api.get('contacts'));
  const { items, next } = understood(ContactList, body);
  return { contacts: items, hasMore: !!next };
}

/** Leaves empty fields out. @throws ApiError; `refusalOf` reads what was wrong with the input */
export async function addContact(api: Api, draft: ContactDraft): Promise<Contact> {
  const filled = Object.entries(draft).filter(([, value]) => value.trim() !== '');
  const answer = api.post('contacts', { json: Object.fromEntries(filled) });
  const { body } = await theirs([FORBIDDEN, ...REFUSED_INPUT], answer);
  return understood(Contact, body);
}

/** What was wrong with the input, or undefined when the error is about something else. */
export function refusalOf(error: unknown): Refusal | undefined {
  const response = error instanceof ApiError ? error.response : undefined;
  if (!response || !REFUSED_INPUT.includes(response.status)) return undefined;
  const { data } = Problem.safeParse(response.body);
  if (!data) return { fields: {}, other: ['The API did not accept this.'] };
  const fields: Partial<Record<ContactField, string>> = {};
  const other: string[] = [];
  for (const { field, message } of data.errors) {
    const name = CONTACT_FIELDS.find((known) => known === field);
    if (name) fields[name] ??= message;
    else other.push(`The field ${field} ${message}.`);
  }
  return { fields, other };
}

/** The user can mend a refusal with one of these statuses; any other is between us and the API. */
async function theirs(statuses: number[], answer: Promise<ApiResponse>): Promise<ApiResponse> {
  try {
    return await answer;
  } catch (error) {
    if (!hasCode(error, 'ERR_API_REFUSED') || statuses.includes(error.status)) throw error;
    throw new ApiError('ERR_API_REFUSED', { detail: error.detail });
  }
}

function understood<T>(schema: z.ZodType<T>, body: unknown): T {
  const { success, data } = schema.safeParse(body);
  if (success) return data;
  throw new ApiError('ERR_API_REFUSED', { detail: 'its answer is not what was agreed on' });
}
