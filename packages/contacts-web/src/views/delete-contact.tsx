import type { VNode } from 'preact';
import type { Contact } from '../contacts-api.ts';
import type { FailedWrite } from '../failed-write.ts';
import { type Permission, permissionFor } from '../permissions.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from './layout.tsx';
import { PermissionNotice } from './permission-notice.tsx';

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
