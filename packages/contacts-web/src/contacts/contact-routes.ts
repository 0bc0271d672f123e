import { METHODS } from 'node:http';
import Router from '@koa/router';
import { hasCode, requiresAuth } from '@koa-oauth/client';
import type { Context } from 'koa';
import { field, readForm } from '../forms.ts';
import { signedInUser } from '../signed-in-user.ts';
import { render } from '../views/layout.tsx';
import { ConflictPage, DeleteContactPage, EditContactPage } from './contact-pages.tsx';
import {
  addContact,
  apiErrorOf,
  CONTACT_FIELDS,
  CONTACT_ID,
  type Contact,
  type ContactDraft,
  type ContactPage,
  type ContactState,
  changeContact,
  deleteContact,
  draftOf,
  explainFailure,
  type FailedWrite,
  findContact,
  hasChanged,
  listContacts,
  readContactQuery,
} from './contacts-api.ts';
import { ContactsPage, type Done } from './contacts-page.tsx';
import { isKnownScope, permissionsOf } from './permissions.tsx';

/** The list of contacts, what changes one, and the request for one more permission. */
export function contactRoutes(): Router {
  return new Router({ methods: METHODS })
    .use(requiresAuth())
    .get('/contacts', showContacts)
    .post('/contacts', readForm(), add)
    .get('/contacts/:id/edit', showEdit)
    .post('/contacts/:id/edit', readForm(), change)
    .get('/contacts/:id/delete', confirmDelete)
    .post('/contacts/:id/delete', readForm(), remove)
    .post('/permissions', readForm(), askForPermission);
}

/** What the API gives out for this session's token. */
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

/** Adds one. A refusal comes back with the page, and what was typed stays. */
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
    await renderContacts(ctx, page, failed);
  }
}

/** The form, with what the API has. */
async function showEdit(ctx: Context): Promise<void> {
  const contact = await findContact(ctx.oidc.api, idOf(ctx));
  await renderEdit(ctx, contact, { draft: draftOf(contact) });
}

/**
 * Writes what was typed over the version that was shown. If another change came first, nothing is
 * written, and a page shows both.
 */
async function change(ctx: Context): Promise<void> {
  const state = stateOf(ctx);
  const draft = readDraft(ctx.request.body);
  try {
    await changeContact(ctx.oidc.api, state, draft);
    ctx.status = 303;
    ctx.redirect(`/contacts?changed=${encodeURIComponent(state.id)}`);
  } catch (error) {
    if (hasChanged(error)) {
      const current = await findContact(ctx.oidc.api, state.id);
      ctx.status = 412;
      render(ctx, ConflictPage({ user: signedInUser(ctx), current, draft }));
      return;
    }
    await renderEdit(ctx, state, failedWrite(ctx, error, { scope: 'update:contacts', draft }));
  }
}

/** Asks whether it is meant. */
async function confirmDelete(ctx: Context): Promise<void> {
  await renderDelete(ctx, await findContact(ctx.oidc.api, idOf(ctx)), {});
}

/** Deletes the version that was shown, and no other. */
async function remove(ctx: Context): Promise<void> {
  const state = stateOf(ctx);
  try {
    await deleteContact(ctx.oidc.api, state);
    ctx.status = 303;
    ctx.redirect(`/contacts?deleted=${encodeURIComponent(state.id)}`);
  } catch (error) {
    const isOther = hasChanged(error);
    const failed = isOther ? {} : failedWrite(ctx, error, { scope: 'delete:contacts' });
    if (isOther) ctx.status = 412;
    await renderDelete(ctx, await findContact(ctx.oidc.api, state.id), { ...failed, isOther });
  }
}

/**
 * Asks the authorization server for one scope more than the session has (incremental consent), and
 * comes back to where the user was.
 */
async function askForPermission(ctx: Context): Promise<void> {
  const { body } = ctx.request;
  const scope = field(body, 'scope');
  ctx.assert(isKnownScope(scope), 400, 'this app asks for no such scope');
  await ctx.oidc.login({ scope, returnTo: field(body, 'returnTo') });
}

async function renderContacts(
  ctx: Context,
  page: ContactPage | undefined,
  rest: FailedWrite & { missingScope?: string | undefined },
): Promise<void> {
  render(
    ctx,
    ContactsPage({
      ...(await permissionsOfUser(ctx)),
      page,
      query: readContactQuery(ctx.method === 'GET' ? ctx.query : {}),
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

async function renderEdit(ctx: Context, state: ContactState, failed: FailedWrite): Promise<void> {
  render(ctx, EditContactPage({ ...(await permissionsOfUser(ctx)), state, ...failed }));
}

async function renderDelete(
  ctx: Context,
  contact: Contact,
  failed: FailedWrite & { isOther?: boolean },
): Promise<void> {
  render(ctx, DeleteContactPage({ ...(await permissionsOfUser(ctx)), contact, ...failed }));
}

async function permissionsOfUser(ctx: Context) {
  const { scope, requestedScope } = await ctx.oidc.accessToken();
  return {
    user: signedInUser(ctx),
    permissions: permissionsOf({ granted: scope, asked: requestedScope }),
  };
}

/**
 * Reads an error of the API as something that the page with the form can say. Its status and headers
 * become the answer's, and the log gets its code.
 *
 * @param scope what the change takes, should the API not say so
 * @throws the error, when it is about something else
 */
function failedWrite(
  ctx: Context,
  error: unknown,
  { scope, draft }: { scope: string; draft?: ContactDraft },
): FailedWrite {
  const failed = explainFailure(error, scope);
  const apiError = apiErrorOf(error);
  if (!failed || !apiError) throw error;
  const { status, headers, code, detail } = apiError;
  ctx.status = status;
  ctx.set({ ...headers });
  ctx.state.failure = { code, detail };
  return { ...failed, draft };
}

/** A contact as it was typed. */
function readDraft(body: unknown): ContactDraft {
  const entries = CONTACT_FIELDS.map((name) => [name, field(body, name)]);
  return Object.fromEntries(entries) as ContactDraft;
}

function stateOf(ctx: Context): ContactState {
  const version = field(ctx.request.body, 'version');
  ctx.assert(/^\d{1,9}$/.test(version), 400, 'the form does not say which version it is for');
  return { id: idOf(ctx), version: Number(version) };
}

function idOf(ctx: Context): string {
  const id = String(ctx.params.id);
  ctx.assert(CONTACT_ID.test(id), 404);
  return id;
}
