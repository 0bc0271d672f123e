import { bodyParser } from '@koa/bodyparser';
import { ApiError, hasCode } from '@koa-oauth/client';
import type { Context, Middleware } from 'koa';
import {
  addContact,
  CONTACT_FIELDS,
  type ContactDraft,
  type ContactPage,
  listContacts,
  refusalOf,
} from '../contacts-api.ts';
import { signedInUser } from '../signed-in-user.ts';
import { ContactsPage, type ContactsPageProps } from '../views/contacts.tsx';
import { render } from '../views/render.tsx';

type Attempt = Pick<ContactsPageProps, 'draft' | 'refusal' | 'problem'>;

/** `GET /contacts`: what the API gives out for this session's token. */
export function contactsRoute(): Middleware {
  return async function contacts(ctx) {
    let page: ContactPage | undefined;
    let missingScope: string | undefined;
    try {
      page = await listContacts(ctx.oidc.api);
    } catch (error) {
      if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) throw error;
      missingScope = scopeOf(error) ?? 'read:contacts';
      ctx.status = 403;
    }
    const { added } = ctx.query;
    await show(ctx, page, { missingScope, added: page?.contacts.find(({ id }) => id === added) });
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
      const attempt = explain(error, draft);
      if (!attempt) throw error;
      ctx.status = (error as ApiError).status;
      ctx.state.failure = { code: (error as ApiError).code, detail: (error as ApiError).detail };
      // The list is an extra here: without it, the page still keeps what was typed.
      const page = await listContacts(ctx.oidc.api).catch(() => undefined);
      await show(ctx, page, attempt);
    }
  }
  return [readForm(), add];
}

/** However reading a form fails, it is its sender's fault, unless the parser says otherwise. */
function readForm(): Middleware {
  return bodyParser({
    enableTypes: ['form'],
    formLimit: '64kb',
    onError(cause, ctx) {
      const { status = 400 } = cause as { status?: number };
      ctx.throw(status, 'the form cannot be read', { cause });
    },
  }) as Middleware;
}

async function show(
  ctx: Context,
  page: ContactPage | undefined,
  rest: Attempt & Pick<ContactsPageProps, 'missingScope' | 'added'>,
): Promise<void> {
  const { scope } = await ctx.oidc.accessToken();
  render(
    ctx,
    ContactsPage({ user: signedInUser(ctx), page, grantedScopes: scope.split(' '), ...rest }),
  );
}

function explain(error: unknown, draft: ContactDraft): Attempt | undefined {
  const refusal = refusalOf(error);
  if (refusal) return { draft, refusal };
  if (hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) {
    const scope = scopeOf(error) ?? 'create:contacts';
    return { draft, problem: { kind: 'scope', scope } };
  }
  if (hasCode(error, 'ERR_API_UNAVAILABLE')) return { draft, problem: { kind: 'unavailable' } };
  return undefined;
}

function scopeOf(error: unknown): string | undefined {
  return error instanceof ApiError ? error.scope : undefined;
}

function readDraft(body: unknown): ContactDraft {
  const typed = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const entries = CONTACT_FIELDS.map((field) => {
    const value = typed[field];
    // Browsers send line ends as CR LF (WHATWG HTML, "constructing the entry list").
    return [field, typeof value === 'string' ? value.replaceAll('\r\n', '\n') : ''];
  });
  return Object.fromEntries(entries) as ContactDraft;
}
