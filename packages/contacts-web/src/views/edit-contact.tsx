import type { VNode } from 'preact';
import type { ContactState } from '../contacts-api.ts';
import type { FailedWrite } from '../failed-write.ts';
import { type Permission, permissionFor } from '../permissions.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { ContactForm } from './contact-form.tsx';
import { FailedWriteNotice } from './contact-notices.tsx';
import { Layout } from './layout.tsx';

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
