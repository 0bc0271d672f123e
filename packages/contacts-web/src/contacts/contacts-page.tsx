import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { ContactForm, FailedWriteNotice } from './contact-form.tsx';
import { ContactList, type LastChange } from './contact-list.tsx';
import {
  type ContactPage,
  type ContactQuery,
  contactsURL,
  type FailedWrite,
} from './contacts-api.ts';
import { type Permission, PermissionNotice, Permissions, permissionFor } from './permissions.tsx';

interface ContactsPageProps extends FailedWrite {
  readonly user: SignedInUser | undefined;
  /** Undefined when the API did not return the list. */
  readonly page: ContactPage | undefined;
  readonly query: ContactQuery;
  readonly permissions: readonly Permission[];
  /** Missing scope that the list needs. */
  readonly missingScope?: string | undefined;
  readonly lastChange: LastChange | undefined;
}

export function ContactsPage(props: ContactsPageProps): VNode {
  const { user, page, query, permissions, missingScope, lastChange } = props;
  const { draft, refusal, problem } = props;
  const organization = user?.organization;
  const returnTo = contactsURL(query);
  const isGranted = (scope: string) => permissionFor(permissions, scope).granted;
  const changed = page?.contacts.find(({ id }) => id === lastChange?.id)?.name;
  const subtitle = page && summary(page, query, organization);
  const title = refusal || problem ? 'Not saved · Contacts' : 'Contacts';
  return (
    <Layout title={title} user={user} current="contacts">
      <header class="page-heading">
        <h1>Contacts</h1>
        {subtitle && <p>{subtitle}</p>}
      </header>
      {lastChange && (
        <p class="notice good" role="status" data-saved>
          {changed ? <strong>{changed}</strong> : 'The contact'}
          {` was ${lastChange.action}.`}
        </p>
      )}
      <FailedWriteNotice {...{ refusal, problem, permissions, organization, returnTo }} />
      {missingScope !== undefined && (
        <PermissionNotice
          permission={permissionFor(permissions, missingScope)}
          organization={organization}
          returnTo={returnTo}
        />
      )}
      <div class="columns">
        <section aria-labelledby="list-heading">
          <h2 id="list-heading" class="visually-hidden">
            Your organization’s contacts
          </h2>
          {page && (
            <ContactList
              page={page}
              query={query}
              lastChange={lastChange}
              mayUpdate={isGranted('update:contacts')}
              mayDelete={isGranted('delete:contacts')}
            />
          )}
          {!page && (
            <p class="card">
              {missingScope === undefined
                ? 'The contacts cannot be shown right now.'
                : 'You may not see the contacts.'}
            </p>
          )}
        </section>
        <aside>
          <ContactForm
            title="Add a contact"
            action="/contacts"
            submit="Add contact"
            user={user}
            draft={draft}
            refusal={refusal}
          >
            {!isGranted('create:contacts') && (
              <p class="hint">
                You need the scope <code>create:contacts</code> to add contacts. You do not have it,
                so the API will refuse. Try it to see the answer.
              </p>
            )}
          </ContactForm>
          <Permissions permissions={permissions} organization={organization} returnTo={returnTo} />
        </aside>
      </div>
    </Layout>
  );
}

/** Counts the contacts. Returns undefined for an empty list, which has a text of its own. */
function summary(
  { contacts, next }: ContactPage,
  { q, cursor }: ContactQuery,
  organization: string | undefined,
): string | undefined {
  const { length } = contacts;
  if (length === 0) return undefined;
  const people = length === 1 ? '1 person' : `${length} people`;
  const count = next || cursor ? `${people} on this page` : people;
  const found = q ? `${count} found for “${q}”` : count;
  return organization ? `${found}, shared within ${organization}` : found;
}
