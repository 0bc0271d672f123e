import type { Context, Middleware } from 'koa';
import {
  CONTACT_ID,
  type Contact,
  type ContactState,
  changeContact,
  deleteContact,
  draftOf,
  findContact,
  hasChanged,
} from '../contacts-api.ts';
import { type FailedWrite, failedWrite } from '../failed-write.ts';
import { permissionsOf } from '../permissions.ts';
import { field, readDraft, readForm } from '../read-form.ts';
import { signedInUser } from '../signed-in-user.ts';
import { ConflictPage } from '../views/conflict.tsx';
import { DeleteContactPage } from '../views/delete-contact.tsx';
import { EditContactPage } from '../views/edit-contact.tsx';
import { render } from '../views/render.tsx';

/** `GET /contacts/:id/edit`: the form, with what the API has. */
export function editContactRoute(): Middleware {
  return async function editContact(ctx) {
    const contact = await findContact(ctx.oidc.api, idOf(ctx));
    await showEdit(ctx, contact, { draft: draftOf(contact) });
  };
}

/**
 * `POST /contacts/:id/edit`: writes what was typed over the version that was shown. If another
 * change came first, nothing is written, and a page shows both.
 */
export function changeContactRoute(): Middleware[] {
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
      await showEdit(ctx, state, failedWrite(ctx, error, { scope: 'update:contacts', draft }));
    }
  }
  return [readForm(), change];
}

/** `GET /contacts/:id/delete`: asks whether it is meant. */
export function confirmDeleteRoute(): Middleware {
  return async function confirmDelete(ctx) {
    await showDelete(ctx, await findContact(ctx.oidc.api, idOf(ctx)), {});
  };
}

/** `POST /contacts/:id/delete`: deletes the version that was shown, and no other. */
export function deleteContactRoute(): Middleware[] {
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
      await showDelete(ctx, await findContact(ctx.oidc.api, state.id), { ...failed, isOther });
    }
  }
  return [readForm(), remove];
}

async function showEdit(ctx: Context, state: ContactState, failed: FailedWrite): Promise<void> {
  render(ctx, EditContactPage({ ...(await whoMayWhat(ctx)), state, ...failed }));
}

async function showDelete(
  ctx: Context,
  contact: Contact,
  failed: FailedWrite & { isOther?: boolean },
): Promise<void> {
  render(ctx, DeleteContactPage({ ...(await whoMayWhat(ctx)), contact, ...failed }));
}

async function whoMayWhat(ctx: Context) {
  const { scope, requestedScope } = await ctx.oidc.accessToken();
  return {
    user: signedInUser(ctx),
    permissions: permissionsOf({ granted: scope, asked: requestedScope }),
  };
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
