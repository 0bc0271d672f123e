import { METHODS } from 'node:http';
import Router from '@koa/router';
import { hasCode, requiresAuth } from '@koa-oauth/client';
import type { Context } from 'koa';
import { field, readForm, signInOfFields } from '../forms.ts';
import { signedInUser } from '../signed-in-user.ts';
import { render } from '../views/layout.tsx';
import { ActivityPage } from './activity-page.tsx';
import type { LastChange } from './contact-list.tsx';
import { ConflictPage, DeleteContactPage, EditContactPage } from './contact-pages.tsx';
import { contactsURL, firstPage, readContactQuery } from './contact-query.ts';
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
  isGone,
  listActivity,
  listContacts,
  makeDraft,
  refusalOf,
} from './contacts-api.ts';
import { ContactsPage } from './contacts-page.tsx';
import { isKnownScope, permissionFor, permissionsOf } from './permissions.tsx';

/** Routes of the contacts: the list, its forms, the activity, and the request for a permission. */
export function contactRoutes(): Router {
  return new Router({ methods: METHODS })
    .use(requiresAuth())
    .get('/contacts', showContacts)
    .post('/contacts', readForm(), postContact)
    .get('/contacts/:id/edit', showEdit)
    .post('/contacts/:id/edit', readForm(), postEdit)
    .get('/contacts/:id/delete', showDelete)
    .post('/contacts/:id/delete', readForm(), postDelete)
    .get('/activity', showActivity)
    .post('/permissions', readForm(), postPermission)
    .post('/sign-in-again', readForm(), postSignInAgain);
}

async function showContacts(ctx: Context): Promise<void> {
  const query = readContactQuery(ctx.query);
  let page: ContactPage | undefined;
  let missingScope: string | undefined;
  try {
    page = await listContacts(ctx.oidc.api, query);
  } catch (error) {
    // A made-up cursor, or one of another sort.
    if (query.cursor && refusalOf(error)) return ctx.redirect(contactsURL(firstPage(query)));
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
    returnToList(ctx, { added: id });
  } catch (error) {
    await renderUnsaved(ctx, answerFailedWrite(ctx, error, { scope: 'create:contacts', draft }));
  }
}

async function showEdit(ctx: Context): Promise<void> {
  const contact = await findContact(ctx.oidc.api, idOf(ctx));
  const draft = makeDraft((name) => contact[name] ?? '');
  render(ctx, EditContactPage({ ...(await commonProps(ctx)), contact, draft }));
}

/** Replaces the shown version. After another change it shows both versions. */
async function postEdit(ctx: Context): Promise<void> {
  const shown = shownVersion(ctx);
  const draft = makeDraft((name) => field(ctx.request.body, name));
  try {
    const { id } = await changeContact(ctx.oidc.api, shown, draft);
    returnToList(ctx, { changed: id });
  } catch (error) {
    if (isConflict(error)) {
      const current = await findContact(ctx.oidc.api, shown.id);
      ctx.status = 412;
      render(ctx, ConflictPage({ ...(await commonProps(ctx)), current, draft }));
      return;
    }
    const failed = answerFailedWrite(ctx, error, { scope: 'update:contacts', draft });
    if (isGone(error)) return renderUnsaved(ctx, failed);
    render(ctx, EditContactPage({ ...(await commonProps(ctx)), contact: shown, ...failed }));
  }
}

async function showDelete(ctx: Context): Promise<void> {
  const contact = await findContact(ctx.oidc.api, idOf(ctx));
  render(ctx, DeleteContactPage({ ...(await commonProps(ctx)), contact }));
}

/** Deletes only the version that was shown. */
async function postDelete(ctx: Context): Promise<void> {
  const shown = shownVersion(ctx);
  try {
    await deleteContact(ctx.oidc.api, shown);
    returnToList(ctx, { deleted: shown.id });
  } catch (error) {
    if (isGone(error)) return returnToList(ctx, { gone: shown.id });
    const hasChanged = isConflict(error);
    const failed = hasChanged ? {} : answerFailedWrite(ctx, error, { scope: 'delete:contacts' });
    if (hasChanged) ctx.status = 412;
    const contact = await findContact(ctx.oidc.api, shown.id);
    render(ctx, DeleteContactPage({ ...(await commonProps(ctx)), contact, ...failed, hasChanged }));
  }
}

/** Shows who changed what. The API allows it to administrators only. */
async function showActivity(ctx: Context): Promise<void> {
  const { cursor } = readContactQuery(ctx.query);
  try {
    const page = await listActivity(ctx.oidc.api, cursor);
    const ownSubject = ctx.oidc.idTokenClaims?.sub;
    render(ctx, ActivityPage({ user: signedInUser(ctx), ownSubject, page, cursor }));
  } catch (error) {
    if (!cursor || !refusalOf(error)) throw error;
    ctx.redirect('/activity');
  }
}

/** Requests one more scope from the authorization server (incremental consent). */
async function postPermission(ctx: Context): Promise<void> {
  const scope = field(ctx.request.body, 'scope');
  ctx.assert(isKnownScope(scope), 400, 'this app asks for no such scope');
  const returnTo = field(ctx.request.body, 'returnTo');
  // The page says whether the scope was granted.
  const asked = `${returnTo.includes('?') ? '&' : '?'}asked=${encodeURIComponent(scope)}`;
  await ctx.oidc.login({ scope, returnTo: returnTo + asked });
}

/** Requests the stronger or newer sign-in that a form needed (RFC 9470), and returns to the form. */
async function postSignInAgain(ctx: Context): Promise<void> {
  const signIn = signInOfFields(ctx.request.body);
  ctx.assert(signIn, 400, 'this is no request to sign in');
  await ctx.oidc.login(signIn);
}

/** Shows the draft in the form of a new contact, also without the list. */
async function renderUnsaved(ctx: Context, failed: FailedWrite): Promise<void> {
  const list = listContacts(ctx.oidc.api, readContactQuery(ctx.query));
  await renderContacts(ctx, await list.catch(() => undefined), failed);
}

async function renderContacts(
  ctx: Context,
  page: ContactPage | undefined,
  failed: FailedWrite & { missingScope?: string | undefined },
): Promise<void> {
  const lastChange = await lastChangeOf(ctx, page);
  render(ctx, ContactsPage({ ...(await commonProps(ctx)), page, lastChange, ...failed }));
}

const CHANGES = ['added', 'changed', 'deleted', 'gone'] as const;

/** Answers a change with a redirect to the page of the list that its form came from. */
function returnToList(ctx: Context, change: Partial<Record<LastChange['action'], string>>): void {
  ctx.status = 303;
  ctx.redirect(contactsURL(readContactQuery(ctx.query), '', change));
}

/** Reads the change from the query of the redirect after it, and the contact from the list or the API. */
async function lastChangeOf(
  ctx: Context,
  page: ContactPage | undefined,
): Promise<LastChange | undefined> {
  const action = CHANGES.find((name) => typeof ctx.query[name] === 'string');
  if (!action) return undefined;
  const id = String(ctx.query[action]);
  const isThere = (action === 'added' || action === 'changed') && CONTACT_ID.test(id);
  const listed = page?.contacts.find((contact) => contact.id === id);
  const found = isThere && !listed ? findContact(ctx.oidc.api, id).catch(() => undefined) : listed;
  return { action, id, contact: await found };
}

/** Returns the properties that all pages have. */
async function commonProps(ctx: Context) {
  const { scope, requestedScope } = await ctx.oidc.accessToken();
  const permissions = permissionsOf({ granted: scope, asked: requestedScope });
  const { asked } = ctx.query;
  return {
    user: signedInUser(ctx),
    permissions,
    asked: typeof asked === 'string' ? permissionFor(permissions, asked) : undefined,
    query: readContactQuery(ctx.query),
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
