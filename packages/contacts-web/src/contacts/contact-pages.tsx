import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { ContactForm, FailedWriteNotice, FIELD_LOOKS } from './contact-form.tsx';
import { type ContactQuery, contactsURL } from './contact-query.ts';
import {
  CONTACT_FIELDS,
  type Contact,
  type ContactDraft,
  type ContactVersion,
  type FailedWrite,
} from './contacts-api.ts';
import { AskedNotice, type Permission, PermissionNotice, permissionFor } from './permissions.tsx';

interface FormPageProps extends FailedWrite {
  readonly user: SignedInUser | undefined;
  readonly permissions: readonly Permission[];
  /** Permission that the user has just asked for. */
  readonly asked: Permission | undefined;
  /** Page of the list that the user came from. */
  readonly query: ContactQuery;
}

interface EditContactPageProps extends FormPageProps {
  readonly contact: ContactVersion;
}

export function EditContactPage(props: EditContactPageProps): VNode {
  const { user, permissions, asked, query, contact, draft, refusal, problem } = props;
  const action = contactsURL(query, `/${contact.id}/edit`);
  const title = refusal || problem ? 'Not saved · Contacts' : 'Edit a contact · Contacts';
  return (
    <Layout title={title} user={user} current="contacts">
      <div class="narrow-column">
        <header class="page-heading">
          <h1>Edit a contact</h1>
        </header>
        <AskedNotice permission={asked} organization={user?.organization} />
        <FailedWriteNotice
          {...{ refusal, problem, permissions }}
          organization={user?.organization}
          returnTo={action}
        />
        <ContactForm
          title={draft?.name || 'No name'}
          action={action}
          submit="Save changes"
          user={user}
          version={contact.version}
          draft={draft}
          refusal={refusal}
        >
          {!permissionFor(permissions, 'update:contacts').granted && (
            <p class="hint">
              You need the scope <code>update:contacts</code> to change contacts. You do not have
              it, so the API will refuse.
            </p>
          )}
        </ContactForm>
        <p>
          <a href={contactsURL(query)}>Back to the contacts</a>
        </p>
      </div>
    </Layout>
  );
}

interface ConflictPageProps {
  readonly user: SignedInUser | undefined;
  /** Page of the list that the user came from. */
  readonly query: ContactQuery;
  /** Saved version. */
  readonly current: Contact;
  /** Unsaved version of this user. */
  readonly draft: ContactDraft;
}

/** Shows both versions of a contact that two people changed, and lets the user choose. */
export function ConflictPage({ user, query, current, draft }: ConflictPageProps): VNode {
  const action = contactsURL(query, `/${current.id}/edit`);
  return (
    <Layout title="Not saved · Contacts" user={user} current="contacts">
      <div class="notice bad" role="alert">
        <h2>Someone else has changed this contact</h2>
        <p>Your changes were not saved yet. Compare the two versions, then choose.</p>
      </div>
      <h1>{current.name}</h1>
      <div class="card">
        <VersionsTable current={current} draft={draft} />
      </div>
      <form class="actions" method="post" action={action}>
        <input type="hidden" name="version" value={current.version} />
        {CONTACT_FIELDS.map((name) => (
          <input key={name} type="hidden" name={name} value={draft[name]} />
        ))}
        <button type="submit">Save my version</button>
        <a class="button outline" href={action} data-discards={action}>
          Edit their version
        </a>
        <a class="button outline" href={contactsURL(query)} data-discards={action}>
          Discard my changes
        </a>
      </form>
    </Layout>
  );
}

function VersionsTable({ current, draft }: Pick<ConflictPageProps, 'current' | 'draft'>) {
  return (
    <table class="versions">
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">Their version (saved)</th>
          <th scope="col">Your version (not saved)</th>
        </tr>
      </thead>
      <tbody>
        {CONTACT_FIELDS.map((name) => {
          const saved = current[name] ?? '';
          const isSame = saved === draft[name].trim();
          return (
            <tr key={name} class={isSame ? undefined : 'differs'}>
              <th scope="row">
                {FIELD_LOOKS[name].label}
                {!isSame && <span class="visually-hidden"> (differs)</span>}
              </th>
              <td>{breakable(saved || '–')}</td>
              <td>{breakable(draft[name] || '–')}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Lets a narrow cell break an e-mail address before its "@". */
function breakable(text: string): VNode {
  const [start, ...rest] = text.split(/(?=@)/);
  return (
    <>
      {start}
      {rest.flatMap((part) => [<wbr />, part])}
    </>
  );
}

interface DeleteContactPageProps extends FormPageProps {
  readonly contact: Contact;
  /** True when the contact has changed since it was shown. */
  readonly hasChanged?: boolean | undefined;
}

export function DeleteContactPage(props: DeleteContactPageProps): VNode {
  const { user, permissions, asked, query, contact, problem, hasChanged } = props;
  const { id, name, email, company, version } = contact;
  const action = contactsURL(query, `/${id}/delete`);
  return (
    <Layout title="Delete a contact · Contacts" user={user} current="contacts">
      <div class="narrow-column">
        {hasChanged && (
          <div class="notice bad" role="alert">
            <h2>Someone else has changed this contact</h2>
            <p>It was not deleted. This is the new version:</p>
          </div>
        )}
        <AskedNotice permission={asked} organization={user?.organization} />
        {problem?.kind === 'scope' && (
          <PermissionNotice
            permission={permissionFor(permissions, problem.scope)}
            organization={user?.organization}
            returnTo={action}
          />
        )}
        {problem?.kind === 'unavailable' && (
          <div class="notice bad" role="alert">
            <h2>The API cannot be reached right now</h2>
            <p>The contact was not deleted. Try again in a moment.</p>
          </div>
        )}
        <section class="card">
          <h1>{`Delete ${name}?`}</h1>
          <p>
            {[company, email].filter(Boolean).join(' · ')}
            <br />
            It is deleted for everyone in your organization. This cannot be undone.
          </p>
          <form class="actions" method="post" action={action}>
            <input type="hidden" name="version" value={version} />
            <button class="danger" type="submit">
              Delete
            </button>
            <a class="button outline" href={contactsURL(query)}>
              Cancel
            </a>
          </form>
        </section>
      </div>
    </Layout>
  );
}
