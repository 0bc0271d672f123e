import { type Api, ApiError, type ApiResponse, hasCode } from '@koa-oauth/client';
import { z } from 'zod';

/** Of a contact; anything else could lead elsewhere, in the API or in this app. */
export const CONTACT_ID = /^[\w-]{1,100}$/;

// JSON can carry half of a surrogate pair, of which no URL can be made.
const Text = z.string().regex(/^\P{Surrogate}*$/u);

// The API's answers, as far as this app shows them; what else they hold is ignored.
const Contact = z.object({
  id: z.string().regex(CONTACT_ID),
  name: Text,
  email: Text,
  phone: Text.nullish(),
  company: Text.nullish(),
  notes: Text.nullish(),
  version: z.int(),
});
const ContactList = z.object({ items: z.array(Contact), next: z.string().nullish() });
const Problem = z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) });

export type Contact = z.infer<typeof Contact>;

/** What a list may be sorted by, as the API calls it. */
export const CONTACT_SORTS = ['name', '-name', '-updated_at', '-created_at'] as const;

/** Which contacts of the list are asked for. */
export interface ContactQuery {
  /** Text that is looked for; empty for all. */
  readonly q: string;
  readonly sort: (typeof CONTACT_SORTS)[number];
  /** Of the page, from the one before it; empty for the first. */
  readonly cursor: string;
}

export interface ContactPage {
  readonly contacts: readonly Contact[];
  /** The cursor of the next page, when there is one. */
  readonly next: string | undefined;
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

/** A change that did not happen, for a page that keeps what was typed. */
export interface FailedWrite {
  readonly draft?: ContactDraft | undefined;
  /** What was wrong with the input. */
  readonly refusal?: Refusal;
  readonly problem?: WriteProblem;
}

export type WriteProblem =
  | { readonly kind: 'scope'; readonly scope: string }
  | { readonly kind: 'unavailable' };

/** A contact as someone saw it. */
export type ContactState = Pick<Contact, 'id' | 'version'>;

const ERROR_CODES = [
  'ERR_API_REFUSED',
  'ERR_API_TOKEN_REFUSED',
  'ERR_API_UNAVAILABLE',
  'ERR_INSUFFICIENT_SCOPE',
] as const;
const PAGE_SIZE = 20;
const FORBIDDEN = 403;
const NOT_FOUND = 404;
const CHANGED = 412;
const REFUSED_INPUT = [400, 413, 422];

/** @throws ApiError, or what the session's access token rejects with */
export async function listContacts(api: Api, query: ContactQuery): Promise<ContactPage> {
  const searchParams = {
    limit: PAGE_SIZE,
    sort: query.sort,
    q: query.q || undefined,
    cursor: query.cursor || undefined,
  };
  const answer = api.get('contacts', { searchParams });
  // Text and cursor come out of the page's address, where anyone can write anything.
  const typed = query.q || query.cursor ? REFUSED_INPUT : [];
  const { body } = await expectRefusals([FORBIDDEN, ...typed], answer);
  const { items, next } = parseAnswer(ContactList, body);
  return { contacts: items, next: next ?? undefined };
}

/** @throws ApiError, with the status 404 when the user's organisation has no such contact */
export async function findContact(api: Api, id: string): Promise<Contact> {
  const { body } = await expectRefusals([FORBIDDEN, NOT_FOUND], api.get(pathOf(id)));
  return parseAnswer(Contact, body);
}

/** Leaves empty fields out. @throws ApiError; `refusalOf` reads what was wrong with the input */
export async function addContact(api: Api, draft: ContactDraft): Promise<Contact> {
  const answer = api.post('contacts', { json: filled(draft) });
  const { body } = await expectRefusals([FORBIDDEN, ...REFUSED_INPUT], answer);
  return parseAnswer(Contact, body);
}

/**
 * Writes all of a contact. @throws ApiError, of which `hasChanged` says whether the contact is no
 * longer at this version
 */
export async function changeContact(
  api: Api,
  { id, version }: ContactState,
  draft: ContactDraft,
): Promise<Contact> {
  const answer = api.put(pathOf(id), { json: filled(draft), headers: ifMatch(version) });
  const { body } = await expectRefusals([FORBIDDEN, NOT_FOUND, CHANGED, ...REFUSED_INPUT], answer);
  return parseAnswer(Contact, body);
}

/** @throws ApiError, of which `hasChanged` says the same */
export async function deleteContact(api: Api, { id, version }: ContactState): Promise<void> {
  const answer = api.delete(pathOf(id), { headers: ifMatch(version) });
  await expectRefusals([FORBIDDEN, NOT_FOUND, CHANGED], answer);
}

/** The error as one of the API, by its code; undefined when it is about something else. */
export function apiErrorOf(error: unknown): ApiError | undefined {
  return ERROR_CODES.some((code) => hasCode(error, code)) ? (error as ApiError) : undefined;
}

/** Whether the API refused a change because another came first (RFC 9110 §15.5.13). */
export function hasChanged(error: unknown): boolean {
  return apiErrorOf(error)?.response?.status === CHANGED;
}

/** A contact as its form shows it. */
export function draftOf(contact: Contact): ContactDraft {
  const entries = CONTACT_FIELDS.map((name) => [name, contact[name] ?? '']);
  return Object.fromEntries(entries) as ContactDraft;
}

/** What was wrong with the input, or undefined when the error is about something else. */
export function refusalOf(error: unknown): Refusal | undefined {
  const response = apiErrorOf(error)?.response;
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

const FIRST: ContactQuery = { q: '', sort: 'name', cursor: '' };

/** Reads which contacts a page's address asks for; an unknown value counts as not given. */
export function readContactQuery(query: Readonly<Record<string, unknown>>): ContactQuery {
  const text = (name: string): string => {
    const value = query[name];
    return typeof value === 'string' ? value.trim() : '';
  };
  const sort = CONTACT_SORTS.find((known) => known === text('sort')) ?? FIRST.sort;
  return { q: text('q').slice(0, 200), sort, cursor: text('cursor').slice(0, 2000) };
}

/** The address of a page of the list, without what is as usual. */
export function contactsURL(query: Partial<ContactQuery>): string {
  const parameters = new URLSearchParams();
  for (const name of ['q', 'sort', 'cursor'] as const) {
    const value = query[name];
    if (value !== undefined && value !== FIRST[name]) parameters.set(name, value);
  }
  return parameters.size > 0 ? `/contacts?${parameters}` : '/contacts';
}

/**
 * Reads an error of the API as something that the page with the form can say; undefined when it is
 * about something else.
 *
 * @param scope what the change takes, should the API not say so
 */
export function explainFailure(error: unknown, scope: string): FailedWrite | undefined {
  const refusal = refusalOf(error);
  if (refusal) return { refusal };
  if (hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) {
    return { problem: { kind: 'scope', scope: apiErrorOf(error)?.scope ?? scope } };
  }
  if (hasCode(error, 'ERR_API_UNAVAILABLE')) return { problem: { kind: 'unavailable' } };
  return undefined;
}

function filled(draft: ContactDraft): Record<string, string> {
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value.trim() !== ''));
}

function pathOf(id: string): string {
  return `contacts/${encodeURIComponent(id)}`;
}

function ifMatch(version: number): Record<string, string> {
  return { 'If-Match': `"${version}"` };
}

/** Passes on a refusal with one of these statuses, which the user can fix; any other is between us and the API. */
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
  throw new ApiError('ERR_API_REFUSED', { detail: 'its answer is not what was agreed on' });
}
