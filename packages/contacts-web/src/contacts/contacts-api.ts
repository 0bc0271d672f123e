import { type Api, ApiError, type ApiResponse, hasCode } from '@koa-oauth/client';
import { z } from 'zod';
import type { ContactQuery } from './contact-query.ts';

/** Form of an id. Other texts could change the path of a URL. */
export const CONTACT_ID = /^[\w-]{1,100}$/;

// JSON may contain a lone surrogate, which cannot be put into a URL.
const WellFormedText = z.string().regex(/^\P{Surrogate}*$/u);

/** Fields of a contact. A draft has them as they were typed. */
export const CONTACT_FIELDS = ['name', 'email', 'phone', 'company', 'notes'] as const;
export type ContactField = (typeof CONTACT_FIELDS)[number];
export type ContactDraft = Readonly<Record<ContactField, string>>;

// Members of the API's answers that this app shows. Others are ignored.
const Contact = z.object({
  id: z.string().regex(CONTACT_ID),
  name: WellFormedText,
  email: WellFormedText,
  phone: WellFormedText.nullish(),
  company: WellFormedText.nullish(),
  notes: WellFormedText.nullish(),
  version: z.int(),
} satisfies Record<ContactField | 'id' | 'version', z.ZodType>);
const ContactList = z.object({ items: z.array(Contact), next: z.string().nullish() });
const Change = z.object({
  id: WellFormedText,
  at: z.iso.datetime(),
  subject: WellFormedText,
  action: z.enum(['created', 'updated', 'deleted']),
  contact_id: z.string().regex(CONTACT_ID),
});
const Activity = z.object({ items: z.array(Change), next: z.string().nullish() });
const Problem = z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) });

export type Contact = z.infer<typeof Contact>;
/** Change of a contact, and the `sub` of the user who made it. */
export type Change = z.infer<typeof Change>;

export interface ContactPage {
  readonly contacts: readonly Contact[];
  /** Cursor of the next page. */
  readonly next: string | undefined;
}

export interface ChangePage {
  readonly changes: readonly Change[];
  /** Cursor of the next page. */
  readonly next: string | undefined;
}

/** Messages for refused input: by field ("must not be empty"), and other sentences. */
export interface Refusal {
  readonly fields: Readonly<Partial<Record<ContactField, string>>>;
  readonly other: readonly string[];
}

/** Change that failed, for a page that keeps what was typed. */
export interface FailedWrite {
  readonly draft?: ContactDraft | undefined;
  readonly refusal?: Refusal;
  readonly problem?: { readonly kind: 'scope'; readonly scope: string } | { kind: 'unavailable' };
}

/** Version of a contact that a user has seen. */
export type ContactVersion = Pick<Contact, 'id' | 'version'>;

const ERROR_CODES = [
  'ERR_API_REFUSED',
  'ERR_API_TOKEN_REFUSED',
  'ERR_API_UNAVAILABLE',
  'ERR_INSUFFICIENT_SCOPE',
] as const;
export const PAGE_SIZE = 20;
const FORBIDDEN = 403;
const NOT_FOUND = 404;
const CONFLICT = 409;
const PRECONDITION_FAILED = 412;
const INPUT_STATUSES = [400, 413, 422];
/** Messages for refusals that are not about a field. */
const REFUSALS: Readonly<Record<number, string>> = {
  [NOT_FOUND]: 'Someone else has deleted this contact. You can add it again.',
  [CONFLICT]: 'Your organization has the maximum of contacts. Delete some first.',
};

/**
 * Lists one page of contacts.
 *
 * @throws ApiError, or the error of the session's access token
 */
export async function listContacts(api: Api, query: ContactQuery): Promise<ContactPage> {
  const searchParams = {
    limit: PAGE_SIZE,
    sort: query.sort,
    q: query.q || undefined,
    cursor: query.cursor || undefined,
  };
  const answer = api.get('contacts', { searchParams });
  // The user can change text and cursor in the address of the page.
  const statuses = query.q || query.cursor ? INPUT_STATUSES : [];
  const { body } = await expectRefusals([FORBIDDEN, ...statuses], answer);
  const { items, next } = parseAnswer(ContactList, body);
  return { contacts: items, next: next ?? undefined };
}

/**
 * Lists one page of the changes to contacts, newest first.
 *
 * @throws ApiError, or the error of the session's access token
 */
export async function listActivity(api: Api, cursor: string): Promise<ChangePage> {
  const searchParams = { limit: PAGE_SIZE, cursor: cursor || undefined };
  const answer = api.get('activity', { searchParams });
  const { body } = await expectRefusals(cursor ? INPUT_STATUSES : [], answer);
  const { items, next } = parseAnswer(Activity, body);
  return { changes: items, next: next ?? undefined };
}

/** @throws ApiError with status 404 when the user's organization has no such contact */
export async function findContact(api: Api, id: string): Promise<Contact> {
  const { body } = await expectRefusals([FORBIDDEN, NOT_FOUND], api.get(pathOf(id)));
  return parseAnswer(Contact, body);
}

/** @throws ApiError; `refusalOf` reads the refused fields */
export async function addContact(api: Api, draft: ContactDraft): Promise<Contact> {
  const answer = api.post('contacts', { json: withoutEmptyFields(draft) });
  const { body } = await expectRefusals([FORBIDDEN, CONFLICT, ...INPUT_STATUSES], answer);
  return parseAnswer(Contact, body);
}

/**
 * Replaces all fields of a contact.
 *
 * @throws ApiError; `isConflict` recognizes a changed contact
 */
export async function changeContact(
  api: Api,
  { id, version }: ContactVersion,
  draft: ContactDraft,
): Promise<Contact> {
  const answer = api.put(pathOf(id), {
    json: withoutEmptyFields(draft),
    headers: ifMatch(version),
  });
  const { body } = await expectRefusals(
    [FORBIDDEN, NOT_FOUND, PRECONDITION_FAILED, ...INPUT_STATUSES],
    answer,
  );
  return parseAnswer(Contact, body);
}

/** @throws ApiError, see `changeContact` */
export async function deleteContact(api: Api, { id, version }: ContactVersion): Promise<void> {
  const answer = api.delete(pathOf(id), { headers: ifMatch(version) });
  await expectRefusals([FORBIDDEN, NOT_FOUND, PRECONDITION_FAILED], answer);
}

/** Returns the error if its code is one of the API's. */
export function apiErrorOf(error: unknown): ApiError | undefined {
  return ERROR_CODES.some((code) => hasCode(error, code)) ? (error as ApiError) : undefined;
}

/** Reports whether another change came first (RFC 9110 §15.5.13). */
export function isConflict(error: unknown): boolean {
  return apiErrorOf(error)?.response?.status === PRECONDITION_FAILED;
}

/** Reports whether the user's organization has no such contact. */
export function isGone(error: unknown): boolean {
  return apiErrorOf(error)?.response?.status === NOT_FOUND;
}

/** Makes a draft from the value of each field. */
export function makeDraft(value: (name: ContactField) => string): ContactDraft {
  return Object.fromEntries(CONTACT_FIELDS.map((name) => [name, value(name)])) as ContactDraft;
}

/** Returns the refused fields, or undefined when the error is not about the input. */
export function refusalOf(error: unknown): Refusal | undefined {
  const response = apiErrorOf(error)?.response;
  if (!response) return undefined;
  const message = REFUSALS[response.status];
  if (message) return { fields: {}, other: [message] };
  if (!INPUT_STATUSES.includes(response.status)) return undefined;
  const { data } = Problem.safeParse(response.body);
  if (!data) return { fields: {}, other: ['The API did not accept this input.'] };
  const fields: Partial<Record<ContactField, string>> = {};
  const other: string[] = [];
  for (const { field, message } of data.errors) {
    const name = CONTACT_FIELDS.find((known) => known === field);
    if (name) fields[name] ??= message;
    else other.push(`The field ${field} ${message}.`);
  }
  return { fields, other };
}

function withoutEmptyFields(draft: ContactDraft): Record<string, string> {
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value.trim() !== ''));
}

function pathOf(id: string): string {
  return `contacts/${encodeURIComponent(id)}`;
}

function ifMatch(version: number): Record<string, string> {
  return { 'If-Match': `"${version}"` };
}

/** Rethrows refusals with a given status. Any other becomes a fault of this app or the API (502). */
async function expectRefusals(
  statuses: number[],
  answer: Promise<ApiResponse>,
): Promise<ApiResponse> {
  try {
    return await answer;
  } catch (error) {
    if (!hasCode(error, 'ERR_API_REFUSED') || statuses.includes(error.status)) throw error;
    throw new ApiError('ERR_API_REFUSED', { detail: error.detail });
  }
}

function parseAnswer<T>(schema: z.ZodType<T>, body: unknown): T {
  const { success, data } = schema.safeParse(body);
  if (success) return data;
  throw new ApiError('ERR_API_REFUSED', {
    detail: 'its answer does not have the expected members',
  });
}
