import type { RouterMiddleware } from '@koa/router';
import type { Auth } from '@koa-oauth/resource-server';
import type { ContactsClaims } from '../claims.ts';
import { parseContactInput } from '../contact.ts';
import { readCursor, writeCursor } from '../cursor.ts';
import { InvalidInput, NotFound } from '../errors.ts';
import { organisationOf } from '../organisation.ts';
import type { ContactStore } from '../store/contact-store.ts';

const MAX_PAGE = 100;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface ContactsState {
  auth: Auth<ContactsClaims>;
}

type Handler = RouterMiddleware<ContactsState>;

/** The handlers of `/contacts`: input in, store, output out. */
export function contactsRoutes(store: ContactStore): Record<'list' | 'read' | 'create', Handler> {
  return {
    async list(ctx) {
      const limit = readLimit(ctx.query.limit);
      const after =
        ctx.query.cursor === undefined ? undefined : readCursor(String(ctx.query.cursor));
      // One more than the page tells whether another one follows.
      const found = await store.list(organisationOf(ctx.state.auth), { limit: limit + 1, after });
      const items = found.slice(0, limit);
      const last = items.at(-1);
      const next = found.length > limit && last ? writeCursor(last) : null;
      if (next !== null) ctx.set('Link', `</contacts?limit=${limit}&cursor=${next}>; rel="next"`);
      ctx.body = { items, next };
    },

    async read(ctx) {
      const { id = '' } = ctx.params;
      const contact = UUID.test(id) && (await store.find(organisationOf(ctx.state.auth), id));
      if (!contact) throw new NotFound('there is no such contact');
      ctx.body = contact;
    },

    async create(ctx) {
      const input = parseContactInput((ctx.request as { body?: unknown }).body);
      const contact = await store.create(organisationOf(ctx.state.auth), input);
      ctx.status = 201;
      ctx.set('Location', `/contacts/${contact.id}`);
      ctx.body = contact;
    },
  };
}

function readLimit(value: unknown): number {
  if (value === undefined) return 50;
  const limit = typeof value === 'string' && /^\d{1,3}$/.test(value) ? Number(value) : 0;
  if (limit >= 1 && limit <= MAX_PAGE) return limit;
  throw new InvalidInput(400, [
    { field: 'limit', message: `must be a whole number from 1 to ${MAX_PAGE}` },
  ]);
}
