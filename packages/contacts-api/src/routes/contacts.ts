import type { IncomingHttpHeaders } from 'node:http';
import { callerOf, organisationOf } from '../caller.ts';
import {
  Activity,
  applyPatch,
  Contact,
  ContactInput,
  ContactPatch,
  ContactSort,
  SearchText,
} from '../contact.ts';
import { ApiError } from '../errors.ts';
import { type Answer, type Context, type Operation, operation } from '../operation.ts';
import type { ActivityStore } from '../store/activity-store.ts';
import type { ContactStore } from '../store/contact-store.ts';
import { PageQuery, pageOf, readCursor, writePage } from './page.ts';

const JSON_TYPE = 'application/json';
const MERGE_PATCH = 'application/merge-patch+json';

const LINK = { Link: 'the next page, `rel="next"`' };
const IF_MATCH = { 'If-Match': 'the `ETag` of the state that the change is meant for' };
const CONTACT: Answer = {
  description: 'the contact',
  schema: Contact,
  headers: { ETag: 'names this state of the contact' },
};
const CREATED: Answer = {
  ...CONTACT,
  headers: { ...CONTACT.headers, Location: 'where the contact is' },
};
const NONE: Answer = { description: 'your organisation has no such contact' };
const CHANGED: Answer = { description: 'the contact has changed since' };

const ListQuery = PageQuery.extend({
  sort: ContactSort.default('name').meta({ description: 'what to sort by; `-` turns it round' }),
  q: SearchText.optional().meta({
    description: 'text in the name, e-mail address or company, in any case and without accents',
  }),
});

/** The operations on contacts: input in, store, output out. */
export function contactOperations(store: ContactStore): Operation[] {
  return [
    operation({
      id: 'listContacts',
      method: 'get',
      path: '/contacts',
      summary: 'List your organisation’s contacts',
      needs: { scope: 'read:contacts' },
      query: ListQuery,
      answers: {
        200: {
          description: 'a page of contacts',
          schema: pageOf(Contact),
          headers: LINK,
        },
      },
      async handle(ctx, { query: { limit, cursor, sort, q } }) {
        const after = readCursor(sort, cursor);
        const page = await store.list(organisationOf(ctx.state.auth), { limit, sort, q, after });
        const { body, link } = writePage(page, sort, ctx);
        if (link) ctx.set('Link', link);
        ctx.body = body;
      },
    }),

    operation({
      id: 'createContact',
      method: 'post',
      path: '/contacts',
      summary: 'Add a contact',
      needs: { scope: 'create:contacts' },
      body: { types: [JSON_TYPE], schema: ContactInput },
      answers: { 201: CREATED },
      async handle(ctx, { body }) {
        const { auth } = ctx.state;
        const contact = await store.create(organisationOf(auth), callerOf(auth), body);
        ctx.status = 201;
        ctx.set('Location', `/contacts/${contact.id}`);
        answer(ctx, contact);
      },
    }),

    operation({
      id: 'getContact',
      method: 'get',
      path: '/contacts/{id}',
      summary: 'Read a contact',
      needs: { scope: 'read:contacts' },
      headers: { 'If-None-Match': 'the `ETag` of the state that you have' },
      answers: { 200: CONTACT, 304: { description: 'it is as you have it' }, 404: NONE },
      async handle(ctx, { id }) {
        answer(ctx, found(await store.find(organisationOf(ctx.state.auth), id)));
        if (ctx.fresh) ctx.status = 304;
      },
    }),

    operation({
      id: 'replaceContact',
      method: 'put',
      path: '/contacts/{id}',
      summary: 'Replace all of a contact',
      needs: { scope: 'update:contacts' },
      headers: IF_MATCH,
      body: { types: [JSON_TYPE], schema: ContactInput },
      answers: { 200: CONTACT, 404: NONE, 412: CHANGED },
      async handle(ctx, { id, body }) {
        await update(ctx, id, () => body);
      },
    }),

    operation({
      id: 'patchContact',
      method: 'patch',
      path: '/contacts/{id}',
      summary: 'Change a part of a contact',
      description: 'A JSON merge patch (RFC 7396): what is absent stays, what is null goes.',
      needs: { scope: 'update:contacts' },
      headers: IF_MATCH,
      body: { types: [MERGE_PATCH, JSON_TYPE], schema: ContactPatch },
      answers: { 200: CONTACT, 404: NONE, 412: CHANGED },
      async handle(ctx, { id, body }) {
        await update(ctx, id, (current) => applyPatch(current, body));
      },
    }),

    operation({
      id: 'deleteContact',
      method: 'delete',
      path: '/contacts/{id}',
      summary: 'Delete a contact',
      needs: { scope: 'delete:contacts' },
      headers: IF_MATCH,
      answers: { 204: { description: 'it is gone' }, 404: NONE, 412: CHANGED },
      async handle(ctx, { id }) {
        const { auth } = ctx.state;
        const check = (current: Contact) => checkPreconditions(ctx.headers, current);
        found(await store.delete(organisationOf(auth), callerOf(auth), id, check));
        ctx.status = 204;
      },
    }),
  ];

  async function update(ctx: Context, id: string, edit: (current: Contact) => ContactInput) {
    const { auth } = ctx.state;
    const contact = await store.update(organisationOf(auth), callerOf(auth), id, (current) => {
      checkPreconditions(ctx.headers, current);
      return edit(current);
    });
    answer(ctx, found(contact));
  }
}

/** `GET /activity`: who changed which contact, and when; for administrators. */
export function activityOperations(store: ActivityStore): Operation[] {
  return [
    operation({
      id: 'listActivity',
      method: 'get',
      path: '/activity',
      summary: 'Who changed what, the newest first',
      needs: { scope: 'read:activity', role: 'admin' },
      query: PageQuery,
      answers: {
        200: {
          description: 'a page of changes',
          schema: pageOf(Activity),
          headers: LINK,
        },
      },
      async handle(ctx, { query: { limit, cursor } }) {
        const after = readCursor('-at', cursor);
        const page = await store.list(organisationOf(ctx.state.auth), { limit, after });
        const { body, link } = writePage(page, '-at', ctx);
        if (link) ctx.set('Link', link);
        ctx.body = body;
      },
    }),
  ];
}

function found(contact: Contact | undefined): Contact {
  if (!contact) throw new ApiError('ERR_NOT_FOUND');
  return contact;
}

function answer(ctx: Context, contact: Contact): void {
  ctx.set('ETag', entityTag(contact));
  ctx.body = contact;
}

/** The entity tag of a contact's present state (RFC 9110 §8.8.3). */
export function entityTag({ version }: { readonly version: number }): string {
  return `"${version}"`;
}

/**
 * Checks that a change is meant for the state that the contact is in (RFC 9110 §13.1.1, §13.1.2).
 *
 * @throws ApiError `ERR_PRECONDITION_FAILED` (412) when it is not
 */
export function checkPreconditions(
  headers: Pick<IncomingHttpHeaders, 'if-match' | 'if-none-match'>,
  contact: { readonly version: number },
): void {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match !== undefined && !namesState(match, contact))
    throw new ApiError('ERR_PRECONDITION_FAILED');
  if (noneMatch !== undefined && namesState(noneMatch, contact))
    throw new ApiError('ERR_PRECONDITION_FAILED');
}

function namesState(condition: string, contact: { readonly version: number }): boolean {
  const tags = condition.split(',').map((tag) => tag.trim());
  return condition.trim() === '*' || tags.includes(entityTag(contact));
}
