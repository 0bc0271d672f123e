import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { ContactForm, FailedWriteNotice, LABELS } from './contact-form.tsx';
import {
  CONTACT_FIELDS,
  type Contact,
  type ContactDraft,
  type ContactState,
  type FailedWrite,
} from './contacts-api.ts';
import { type Permission, PermissionNotice, permissionFor } from './permissions.tsx';

interface EditContactPageProps extends FailedWrite {
  readonly user: SignedInUser | undefined;
  readonly permissions: readonly Permission[];
  readonly state: ContactState;
}

export function EditContactPage(props: EditContactPageProps): VNode {
  const { user, permissions, state, draft, refusal, problem } = props;
  const action = `/contacts/${state.id}/edit`;
  const title = refusal || problem ? 'Not saved · Contacts' : 'Edit a contact · Contacts';
  return (
    <Layout title={title} user={user} current="contacts">
      <div class="narrow-column">
        <header class="page-heading">
          <h1>Edit a contact</h1>
        </header>
        <FailedWriteNotice
          {...{ refusal, problem, permissions }}
          organisation={user?.organisation}
          returnTo={action}
        />
        <ContactForm
          title={draft?.name || 'No name'}
          action={action}
          submit="Save changes"
          user={user}
          version={state.version}
          draft={draft}
          refusal={refusal}
        >
          {!permissionFor(permissions, 'update:contacts').granted && (
            <p class="hint">
              Changing takes the scope <code>update:contacts</code> and your sign-in was not granted
              it, so the API will refuse this.
            </p>
          )}
        </ContactForm>
        <p>
          <a href="/contacts">Back to all contacts</a>
        </p>
      </div>
    </Layout>
  );
}

interface ConflictPageProps {
  readonly user: SignedInUser | undefined;
  /** As the API has it now. */
  readonly current: Contact;
  /** As it was typed over an older version. */
  readonly draft: ContactDraft;
}

/** Two people changed the same contact: both versions, and a choice that loses nothing unseen. */
export function ConflictPage({ user, current, draft }: ConflictPageProps): VNode {
  const action = `/contacts/${current.id}/edit`;
  return (
    <Layout title="Not saved · Contacts" user={user} current="contacts">
      <div class="notice bad" role="alert">
        <h2>Somebody has changed this contact meanwhile</h2>
        <p>Yours was not saved, so that theirs is not lost. Compare the two, then choose.</p>
      </div>
      <h1>{current.name}</h1>
      <div class="card">
        <table class="versions">
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">Theirs, saved</th>
              <th scope="col">Yours, typed</th>
            </tr>
          </thead>
          <tbody>
            {CONTACT_FIELDS.map((name) => {
              const theirs = current[name] ?? '';
              const isSame = theirs === draft[name].trim();
              return (
                <tr key={name} class={isSame ? undefined : 'differs'}>
                  <th scope="row">
                    {LABELS[name]}
                    {!isSame && <span class="visually-hidden"> (differs)</span>}
                  </th>
                  <td>{theirs || '–'}</td>
                  <td>{draft[name] || '–'}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <form class="actions" method="post" action={action}>
        <input type="hidden" name="version" value={current.version} />
        {CONTACT_FIELDS.map((name) => (
          <input key={name} type="hidden" name={name} value={draft[name]} />
        ))}
        <button type="submit">Save mine over it</button>
        <a class="button outline" href={action} data-discards={action}>
          Start from theirs
        </a>
        <a class="button outline" href="/contacts" data-discards={action}>
          Leave it as it is
        </a>
      </form>
    </Layout>
  );
}

interface DeleteContactPageProps extends FailedWrite {
  readonly user: SignedInUser | undefined;
  readonly permissions: readonly Permission[];
  readonly contact: Contact;
  /** Whether it has changed since the question was asked. */
  readonly isOther?: boolean | undefined;
}

export function DeleteContactPage(props: DeleteContactPageProps): VNode {
  const { user, permissions, contact, problem, isOther } = props;
  const { id, name, email, company, version } = contact;
  const action = `/contacts/${id}/delete`;
  return (
    <Layout title="Delete a contact · Contacts" user={user} current="contacts">
      <div class="narrow-column">
        {isOther && (
          <div class="notice bad" role="alert">
            <h2>Somebody has changed this contact meanwhile</h2>
            <p>It was not deleted. Below is what it says now.</p>
          </div>
        )}
        {problem?.kind === 'scope' && (
          <PermissionNotice
            permission={permissionFor(permissions, problem.scope)}
            organisation={user?.organisation}
            returnTo={action}
          />
        )}
        {problem?.kind === 'unavailable' && (
          <div class="notice bad" role="alert">
            <h2>The API cannot be reached right now</h2>
            <p>The contact was not deleted: try again in a moment.</p>
          </div>
        )}
        <section class="card">
          <h1>{`Delete ${name}?`}</h1>
          <p>
            {[company, email].filter(Boolean).join(' · ')}
            <br />
            Everyone in your organisation loses it, and it does not come back.
          </p>
          <form class="actions" method="post" action={action}>
            <input type="hidden" name="version" value={version} />
            <button class="danger" type="submit">
              Delete
            </button>
            <a class="button outline" href="/contacts">
              Keep it
            </a>
          </form>
        </section>
      </div>
    </Layout>
  );
}
