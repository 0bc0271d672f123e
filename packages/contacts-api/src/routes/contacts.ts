import type { IncomingHttpHeaders } from 'node:http';
import type { SignInOptions } from '@koa-oauth/resource-server';
import { z } from 'zod';
import { callerOf, type FindOrganization } from '../access-token.ts';
import {
  Activity,
  applyPatch,
  Contact,
  ContactInput,
  ContactPatch,
  ContactSort,
  SearchText,
} from '../contact.ts';
import { ApiError, invalidInput } from '../errors.ts';
import { type Answer, type Context, type Operation, operation } from '../operation.ts';
import type { ContactStore } from '../store/contact-store.ts';
import type { Page, Position } from '../store/page.ts';

const JSON_TYPE = 'application/json';
const MERGE_PATCH = 'application/merge-patch+json';
const ACTIVITY_SORT = '-at';

const LINK_HEADER = { Link: 'address of the next page (`rel="next"`)' };
const CONDITIONS = {
  'If-Match': 'the `ETag` of the state that you expect',
  'If-None-Match': 'the `ETag` of the state that you have',
};
const CONTACT: Answer = {
  description: 'the contact',
  schema: Contact,
  headers: { ETag: 'names this state of the contact' },
};
const NO_SUCH_CONTACT: Answer = { description: 'no such contact in your organization' };
const HAS_CHANGED: Answer = { description: 'the contact is not in the expected state' };

const MAX_LIMIT = 100;
/** The longest search text, 602 characters of three bytes, makes a cursor of 2474. */
const MAX_CURSOR_LENGTH = 2500;
const LIMIT_FAULT = `must be a whole number from 1 to ${MAX_LIMIT}`;

export const PageQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, LIMIT_FAULT)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= MAX_LIMIT, LIMIT_FAULT)
    .default(50)
    .meta({ description: 'items on a page', type: 'integer', minimum: 1, maximum: MAX_LIMIT }),
  cursor: z
    .string()
    .max(MAX_CURSOR_LENGTH, 'must be the "next" of an earlier page')
    .optional()
    .meta({ description: 'the `next` of a page, to read the page after it' }),
});

const ListQuery = PageQuery.extend({
  sort: ContactSort.default('name').meta({ description: 'sorted by; `-` reverses the order' }),
  q: SearchText.optional().meta({
    description: 'text in the name, e-mail address or company; case and accents are ignored',
  }),
});

/** Parts that the operations of contacts share. */
export interface ContactParts {
  readonly store: ContactStore;
  readonly organizationOf: FindOrganization;
  /** Path of the public address, without a slash at its end. */
  readonly basePath: string;
  /** The sign-in that deleting a contact and reading the activity need. */
  readonly signIn: SignInOptions | undefined;
}

export function contactOperations(parts: ContactParts): Operation[] {
  const { store, organizationOf, basePath, signIn } = parts;
  async function update(ctx: Context, id: string, edit: (current: Contact) => ContactInput) {
    const { auth } = ctx.state;
    const contact = await store.update(organizationOf(auth), callerOf(auth), id, (current) => {
      evaluateConditions(ctx, current);
      return edit(current);
    });
    answerContact(ctx, contact);
  }

  return [
    operation({
      id: 'listContacts',
      method: 'get',
      path: '/contacts',
      summary: 'List your organization’s contacts',
      needs: { scope: 'read:contacts' },
      query: ListQuery,
      answers: {
        200: { description: 'a page of contacts', schema: pageOf(Contact), headers: LINK_HEADER },
      },
      async handle(ctx, { query: { limit, cursor, sort, q } }) {
        const after = readCursor(sort, cursor);
        const { auth } = ctx.state;
        const query = { limit, sort, q, after };
        const page = await store.list(organizationOf(auth), query, auth.payload.sub);
        answerPage(ctx, page, sort, basePath);
      },
    }),

    operation({
      id: 'createContact',
      method: 'post',
      path: '/contacts',
      summary: 'Add a contact',
      needs: { scope: 'create:contacts' },
      body: { types: [JSON_TYPE], schema: ContactInput },
      answers: {
        201: { ...CONTACT, headers: { ...CONTACT.headers, Location: 'path of the contact' } },
        409: { description: 'your organization has the maximum of contacts' },
      },
      async handle(ctx, { body }) {
        const { auth } = ctx.state;
        const contact = await store.create(organizationOf(auth), callerOf(auth), body);
        ctx.status = 201;
        ctx.set('Location', `${basePath}/contacts/${contact.id}`);
        answerContact(ctx, contact);
      },
    }),

    operation({
      id: 'getContact',
      method: 'get',
      path: '/contacts/{id}',
      summary: 'Read a contact',
      needs: { scope: 'read:contacts' },
      headers: CONDITIONS,
      answers: {
        200: CONTACT,
        304: { description: 'the contact has not changed' },
        404: NO_SUCH_CONTACT,
        412: HAS_CHANGED,
      },
      async handle(ctx, { id }) {
        const contact = requireContact(await store.find(organizationOf(ctx.state.auth), id));
        const isUnchanged = evaluateConditions(ctx, contact);
        answerContact(ctx, contact);
        if (isUnchanged) ctx.status = 304;
      },
    }),

    operation({
      id: 'replaceContact',
      method: 'put',
      path: '/contacts/{id}',
      summary: 'Replace all of a contact',
      needs: { scope: 'update:contacts' },
      headers: CONDITIONS,
      body: { types: [JSON_TYPE], schema: ContactInput },
      answers: { 200: CONTACT, 404: NO_SUCH_CONTACT, 412: HAS_CHANGED },
      async handle(ctx, { id, body }) {
        await update(ctx, id, () => body);
      },
    }),

    operation({
      id: 'patchContact',
      method: 'patch',
      path: '/contacts/{id}',
      summary: 'Change a part of a contact',
      description: 'A JSON merge patch (RFC 7396): null removes a member, an absent one stays.',
      needs: { scope: 'update:contacts' },
      headers: CONDITIONS,
      body: { types: [MERGE_PATCH, JSON_TYPE], schema: ContactPatch },
      answers: { 200: CONTACT, 404: NO_SUCH_CONTACT, 412: HAS_CHANGED },
      async handle(ctx, { id, body }) {
        await update(ctx, id, (current) => applyPatch(current, body));
      },
    }),

    operation({
      id: 'deleteContact',
      method: 'delete',
      path: '/contacts/{id}',
      summary: 'Delete a contact',
      needs: { scope: 'delete:contacts', signIn },
      headers: CONDITIONS,
      answers: {
        204: { description: 'the contact is deleted' },
        404: NO_SUCH_CONTACT,
        412: HAS_CHANGED,
      },
      async handle(ctx, { id }) {
        const { auth } = ctx.state;
        const check = (current: Contact) => void evaluateConditions(ctx, current);
        requireContact(await store.delete(organizationOf(auth), callerOf(auth), id, check));
        ctx.status = 204;
      },
    }),
  ];
}

export function activityOperation(parts: ContactParts): Operation {
  const { store, organizationOf, basePath, signIn } = parts;
  return operation({
    id: 'listActivity',
    method: 'get',
    path: '/activity',
    summary: 'List who changed which contact, newest first',
    needs: { scope: 'read:activity', role: 'admin', signIn },
    query: PageQuery,
    answers: {
      200: { description: 'a page of changes', schema: pageOf(Activity), headers: LINK_HEADER },
    },
    async handle(ctx, { query: { limit, cursor } }) {
      const after = readCursor(ACTIVITY_SORT, cursor);
      const page = await store.listActivity(organizationOf(ctx.state.auth), { limit, after });
      answerPage(ctx, page, ACTIVITY_SORT, basePath);
    },
  });
}

function requireContact(contact: Contact | undefined): Contact {
  if (!contact) throw new ApiError('ERR_NOT_FOUND');
  return contact;
}

function answerContact(ctx: Context, found: Contact | undefined): void {
  const contact = requireContact(found);
  ctx.set('ETag', entityTag(contact));
  ctx.body = contact;
}

function answerPage<Item>(ctx: Context, page: Page<Item>, sort: string, basePath: string): void {
  const { path, querystring } = ctx;
  const { body, link } = writePage(page, sort, { path: `${basePath}${path}`, querystring });
  if (link) ctx.set('Link', link);
  ctx.body = body;
}

/** Returns the entity tag of a contact (RFC 9110 §8.8.3). */
export function entityTag({ version }: { readonly version: number }): string {
  return `"${version}"`;
}

/**
 * Evaluates the conditions of a request in their order (RFC 9110 §13.2.2). A contact has no modification
 * date in its answers, so conditions with a date are ignored (§13.1.3, §13.1.4).
 *
 * @returns true when the answer is 304: a GET has named the current state
 * @throws ApiError `ERR_PRECONDITION_FAILED` (412) when a condition fails
 */
export function evaluateConditions(
  { method, headers }: { readonly method: string; readonly headers: IncomingHttpHeaders },
  contact: { readonly version: number },
): boolean {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  const failed = match !== undefined && !namesState(match, contact);
  const isNamed = noneMatch !== undefined && namesState(noneMatch, contact);
  const isRead = method === 'GET' || method === 'HEAD';
  if (failed || (isNamed && !isRead)) throw new ApiError('ERR_PRECONDITION_FAILED');
  return isNamed;
}

// A proxy that compresses an answer makes `W/"1"` of `"1"`. Both name one version, so If-Match accepts
// both too, although RFC 9110 §13.1.1 compares strongly: otherwise no client behind it could write.
function namesState(condition: string, contact: { readonly version: number }): boolean {
  const tags = condition.matchAll(/(?:^|,)\s*(?:W\/)?("[^"]*")\s*(?=,|$)/g);
  const tag = entityTag(contact);
  return condition.trim() === '*' || [...tags].some(([, each]) => each === tag);
}

function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().meta({ description: 'cursor of the next page; null on the last' }),
  });
}

/** Returns the cursor of the page after a position. */
export function writeCursor(sort: string, { value, id }: Position): string {
  return Buffer.from(JSON.stringify([sort, value, id])).toString('base64url');
}

/** @throws ApiError `ERR_INVALID_INPUT` (400) for a cursor of another sort or from elsewhere */
export function readCursor(sort: string, cursor: string | undefined): Position | undefined {
  if (cursor === undefined) return undefined;
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(parts) &&
      parts.length === 3 &&
      parts[0] === sort &&
      parts.every((part) => typeof part === 'string' && !/[\0\p{Cs}]/u.test(part))
    ) {
      return { value: parts[1], id: parts[2] };
    }
  } catch {}
  throw invalidInput(400, [
    { field: 'cursor', message: 'must be the "next" of an earlier page of the same sort' },
  ]);
}

/** Returns the body of a page, and the `Link` to the next one, if any (RFC 8288). */
export function writePage<Item>(
  { items, next: position }: Page<Item>,
  sort: string,
  { path, querystring }: { readonly path: string; readonly querystring: string },
): { body: { items: readonly Item[]; next: string | null }; link: string | undefined } {
  if (!position) return { body: { items, next: null }, link: undefined };
  const next = writeCursor(sort, position);
  const parameters = new URLSearchParams(querystring);
  parameters.set('cursor', next);
  return { body: { items, next }, link: `<${path}?${parameters}>; rel="next"` };
}
