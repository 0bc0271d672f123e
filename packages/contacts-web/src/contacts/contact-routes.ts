import { METHODS } from 'node:http';
import Router from '@koa/router';
import { hasCode, requiresAuth } from '@koa-oauth/client';
import type { Context } from 'koa';
import { field, readForm } from '../forms.ts';
import { signedInUser } from '../signed-in-user.ts';
import { render } from '../views/layout.tsx';
import type { LastChange } from './contact-list.tsx';
import { ConflictPage, DeleteContactPage, EditContactPage } from './contact-pages.tsx';
import {
  addContact,
  apiErrorOf,
  CONTACT_ID,
  type ContactDraft,
  type ContactPage,
  type ContactVersion,
  changeContact,
  deleteContact,
  type FailedWrite,
  findContact,
  isConflict,
  listContacts,
  makeDraft,
  readContactQuery,
  refusalOf,
} from './contacts-api.ts';
import { ContactsPage } from './contacts-page.tsx';
import { isKnownScope, permissionsOf } from './permissions.tsx';

/** Routes of the contacts: the list, its forms, and the request for one more permission. */
export function contactRoutes(): Router {
  return new Router({ methods: METHODS })
    .use(requiresAuth())
    .get('/contacts', showContacts)
    .post('/contacts', readForm(), postContact)
    .get('/contacts/:id/edit', showEdit)
    .post('/contacts/:id/edit', readForm(), postEdit)
    .get('/contacts/:id/delete', showDelete)
    .post('/contacts/:id/delete', readForm(), postDelete)
    .post('/permissions', readForm(), postPermission);
}

async function showContacts(ctx: Context): Promise<void> {
  let page: ContactPage | undefined;
  let missingScope: string | undefined;
  try {
    page = await listContacts(ctx.oidc.api, readContactQuery(ctx.query));
  } catch (error) {
    if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) throw error;
    missingScope = apiErrorOf(error)?.scope || 'read:contacts';
    ctx.status = error.status;
    ctx.state.failure = { code: error.code, detail: error.detail };
  }
  await renderContacts(ctx, page, { missingScope });
}

async function postContact(ctx: Context): Promise<void> {
  const draft = makeDraft((name) => field(ctx.request.body, name));
  try {
    const { id } = await addContact(ctx.oidc.api, draft);
    ctx.status = 303;
    ctx.redirect(`/contacts?added=${encodeURIComponent(id)}`);
  } catch (error) {
    const failed = answerFailedWrite(ctx, error, { scope: 'create:contacts', draft });
    // Without the list the page still shows the draft.
    const page = await listContacts(ctx.oidc.api, readContactQuery({})).catch(() => undefined);
    await renderContacts(ctx, page, failed);
  }
}

async function showEdit(ctx: Context): Promise<void> {
  const contact = await findContact(ctx.oidc.api, idOf(ctx));
  const draft = makeDraft((name) => contact[name] ?? '');
  render(ctx, EditContactPage({ ...(await permissionsOfUser(ctx)), contact, draft }));
}

/** Replaces the shown version. After another change it shows both versions. */
async function postEdit(ctx: Context): Promise<void> {
  const shown = shownVersion(ctx);
  const draft = makeDraft((name) => field(ctx.request.body, name));
  try {
    const { id } = await changeContact(ctx.oidc.api, shown, draft);
    ctx.status = 303;
    ctx.redirect(`/contacts?changed=${encodeURIComponent(id)}`);
  } catch (error) {
    if (isConflict(error)) {
      const current = await findContact(ctx.oidc.api, shown.id);
      ctx.status = 412;
      render(ctx, ConflictPage({ user: signedInUser(ctx), current, draft }));
      return;
    }
    const failed = answerFailedWrite(ctx, error, { scope: 'update:contacts', draft });
    render(ctx, EditContactPage({ ...(await permissionsOfUser(ctx)), contact: shown, ...failed }));
  }
}

async function showDelete(ctx: Context): Promise<void> {
  const contact = await findContact(ctx.oidc.api, idOf(ctx));
  render(ctx, DeleteContactPage({ ...(await permissionsOfUser(ctx)), contact }));
}

/** Deletes only the version that was shown. */
async function postDelete(ctx: Context): Promise<void> {
  const shown = shownVersion(ctx);
  try {
    await deleteContact(ctx.oidc.api, shown);
    ctx.status = 303;
    ctx.redirect(`/contacts?deleted=${encodeURIComponent(shown.id)}`);
  } catch (error) {
    const hasChanged = isConflict(error);
    const failed = hasChanged ? {} : answerFailedWrite(ctx, error, { scope: 'delete:contacts' });
    if (hasChanged) ctx.status = 412;
    const contact = await findContact(ctx.oidc.api, shown.id);
    const shownTo = await permissionsOfUser(ctx);
    render(ctx, DeleteContactPage({ ...shownTo, contact, ...failed, hasChanged }));
  }
}

/** Requests one more scope from the authorization server (incremental consent). */
async function postPermission(ctx: Context): Promise<void> {
  const scope = field(ctx.request.body, 'scope');
  ctx.assert(isKnownScope(scope), 400, 'this app asks for no such scope');
  await ctx.oidc.login({ scope, returnTo: field(ctx.request.body, 'returnTo') });
}

async function renderContacts(
  ctx: Context,
  page: ContactPage | undefined,
  failed: FailedWrite & { missingScope?: string | undefined },
): Promise<void> {
  render(
    ctx,
    ContactsPage({
      ...(await permissionsOfUser(ctx)),
      page,
      query: readContactQuery(ctx.method === 'GET' ? ctx.query : {}),
      lastChange: lastChangeOf(ctx.query),
      ...failed,
    }),
  );
}

/** Reads the change from the query of the redirect after it. */
function lastChangeOf(query: Context['query']): LastChange | undefined {
  for (const action of ['added', 'changed', 'deleted'] as const) {
    const id = query[action];
    if (typeof id === 'string') return { action, id };
  }
  return undefined;
}

async function permissionsOfUser(ctx: Context) {
  const { scope, requestedScope } = await ctx.oidc.accessToken();
  return {
    user: signedInUser(ctx),
    permissions: permissionsOf({ granted: scope, asked: requestedScope }),
  };
}

/**
 * Answers with the status and headers of an API error, and logs its code.
 *
 * @param scope needed scope, if the answer names none
 * @returns what the page shows
 * @throws the error when the page cannot explain it
 */
function answerFailedWrite(
  ctx: Context,
  error: unknown,
  { scope, draft }: { scope: string; draft?: ContactDraft },
): FailedWrite {
  const apiError = apiErrorOf(error);
  const refusal = refusalOf(error);
  const isUnavailable = apiError?.code === 'ERR_API_UNAVAILABLE';
  const needsScope = apiError?.code === 'ERR_INSUFFICIENT_SCOPE';
  if (!apiError || !(refusal || needsScope || isUnavailable)) throw error;
  const { status, headers, code, detail } = apiError;
  ctx.status = status;
  ctx.set({ ...headers });
  ctx.state.failure = { code, detail };
  if (refusal) return { refusal, draft };
  if (isUnavailable) return { problem: { kind: 'unavailable' }, draft };
  return { problem: { kind: 'scope', scope: apiError.scope ?? scope }, draft };
}

function shownVersion(ctx: Context): ContactVersion {
  const version = field(ctx.request.body, 'version');
  ctx.assert(/^\d{1,9}$/.test(version), 400, 'the form does not say which version it is for');
  return { id: idOf(ctx), version: Number(version) };
}

function idOf(ctx: Context): string {
  const id = String(ctx.params.id);
  ctx.assert(CONTACT_ID.test(id), 404);
  return id;
}
