import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import type { Change, ChangePage } from './contacts-api.ts';

interface ActivityPageProps {
  readonly user: SignedInUser | undefined;
  /** The `sub` of this user. */
  readonly ownSubject: string | undefined;
  readonly page: ChangePage;
  /** Empty for the first page. */
  readonly cursor: string;
}

/** Characters of an id that are enough to recognize changes of the same contact. */
const SHOWN_ID_LENGTH = 8;
const VERBS: Readonly<Record<Change['action'], string>> = {
  created: 'added',
  updated: 'changed',
  deleted: 'deleted',
};

/** Shows who changed which contact, newest first. The API stores no names of contacts with changes. */
export function ActivityPage({ user, ownSubject, page, cursor }: ActivityPageProps): VNode {
  const { changes, next } = page;
  return (
    <Layout title="Activity · Contacts" user={user}>
      <header class="page-heading">
        <h1>Who changed what</h1>
        <p>{`Changes to the contacts${user?.organization ? ` of ${user.organization}` : ''}, newest first`}</p>
      </header>
      {changes.length === 0 && <p class="card">No contact was changed yet.</p>}
      {changes.length > 0 && (
        <div class="card">
          <table class="activity">
            <thead>
              <tr>
                <th scope="col">Time (UTC)</th>
                <th scope="col">User</th>
                <th scope="col">Change</th>
              </tr>
            </thead>
            <tbody>
              {changes.map((change) => (
                <ChangeRow key={change.id} change={change} ownSubject={ownSubject} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <nav class="pages" aria-label="Pages">
        <a href="/contacts">Back to the contacts</a>
        {cursor && <a href="/activity">Newest changes</a>}
        {next && (
          <a rel="next" href={`/activity?${new URLSearchParams({ cursor: next })}`}>
            Next page
          </a>
        )}
      </nav>
    </Layout>
  );
}

function ChangeRow({ change, ownSubject }: { change: Change; ownSubject: string | undefined }) {
  const { at, subject, action, contact_id: contactId } = change;
  const shownId = contactId.slice(0, SHOWN_ID_LENGTH);
  return (
    <tr>
      <td>
        <time dateTime={at}>{at.slice(0, 16).replace('T', ' ')}</time>
      </td>
      <td>{subject === ownSubject ? 'You' : <code>{subject}</code>}</td>
      <td>
        {`${VERBS[action]} contact `}
        {action === 'deleted' ? shownId : <a href={`/contacts/${contactId}/edit`}>{shownId}</a>}
      </td>
    </tr>
  );
}
