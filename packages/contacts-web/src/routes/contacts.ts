import { ApiError, hasCode } from '@koa-oauth/client';
import type { Context, Middleware } from 'koa';
import { readContactQuery } from '../contact-query.ts';
import { addContact, type ContactPage, listContacts } from '../contacts-api.ts';
import { type FailedWrite, failedWrite } from '../failed-write.ts';
import { permissionsOf } from '../permissions.ts';
import { readDraft, readForm } from '../read-form.ts';
import { signedInUser } from '../signed-in-user.ts';
import { ContactsPage, type Done } from '../views/contacts.tsx';
import { render } from '../views/render.tsx';

/** `GET /contacts`: what the API gives out for this session's token. */
export function contactsRoute(): Middleware {
  return async function contacts(ctx) {
    let page: ContactPage | undefined;
    let missingScope: string | undefined;
    try {
      page = await listContacts(ctx.oidc.api, readContactQuery(ctx.query));
    } catch (error) {
      if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) throw error;
      missingScope = (error instanceof ApiError && error.scope) || 'read:contacts';
      ctx.status = error.status;
      ctx.state.failure = { code: error.code, detail: error.detail };
    }
    await show(ctx, page, { missingScope });
  };
}

/** `POST /contacts`: adds one. A refusal comes back with the page, and what was typed stays. */
export function addContactRoute(): Middleware[] {
  async function add(ctx: Context): Promise<void> {
    const draft = readDraft(ctx.request.body);
    try {
      const { id } = await addContact(ctx.oidc.api, draft);
      ctx.status = 303;
      ctx.redirect(`/contacts?added=${encodeURIComponent(id)}`);
    } catch (error) {
      const failed = failedWrite(ctx, error, { scope: 'create:contacts', draft });
      // The list is an extra here: without it, the page still keeps what was typed.
      const page = await listContacts(ctx.oidc.api, readContactQuery({})).catch(() => undefined);
      await show(ctx, page, failed);
    }
  }
  return [readForm(), add];
}

async function show(
  ctx: Context,
  page: ContactPage | undefined,
  rest: FailedWrite & { missingScope?: string | undefined },
): Promise<void> {
  const { scope, requestedScope } = await ctx.oidc.accessToken();
  render(
    ctx,
    ContactsPage({
      user: signedInUser(ctx),
      page,
      query: readContactQuery(ctx.method === 'GET' ? ctx.query : {}),
      permissions: permissionsOf({ granted: scope, asked: requestedScope }),
      done: doneOf(ctx.query),
      ...rest,
    }),
  );
}

/** What a change that led here did: the redirect after it says so. */
function doneOf(query: Context['query']): Done | undefined {
  for (const what of ['added', 'changed', 'deleted'] as const) {
    const id = query[what];
    if (typeof id === 'string') return { what, id };
  }
  return undefined;
}
