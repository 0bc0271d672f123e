import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { ContactForm, FailedWriteNotice } from './contact-form.tsx';
import { ContactList } from './contact-list.tsx';
import {
  type ContactPage,
  type ContactQuery,
  contactsURL,
  type FailedWrite,
} from './contacts-api.ts';
import { type Permission, PermissionNotice, Permissions, permissionFor } from './permissions.tsx';

/** What a change did that led back here. */
export interface Done {
  readonly what: 'added' | 'changed' | 'deleted';
  readonly id: string;
}

interface ContactsPageProps extends FailedWrite {
  readonly user: SignedInUser | undefined;
  /** Undefined when the API did not give them out. */
  readonly page: ContactPage | undefined;
  readonly query: ContactQuery;
  readonly permissions: readonly Permission[];
  /** The scope that seeing contacts takes, when it is missing. */
  readonly missingScope?: string | undefined;
  readonly done: Done | undefined;
}

export function ContactsPage(props: ContactsPageProps): VNode {
  const { user, page, query, permissions, missingScope, done, draft, refusal, problem } = props;
  const organisation = user?.organisation;
  const returnTo = contactsURL(query);
  const may = (scope: string) => permissionFor(permissions, scope).granted;
  const subtitle = page && summary(page, query, organisation);
  const title = refusal || problem ? 'Not saved · Contacts' : 'Contacts';
  return (
    <Layout title={title} user={user} current="contacts">
      <header class="page-heading">
        <h1>Contacts</h1>
        {subtitle && <p>{subtitle}</p>}
      </header>
      {done && <DoneNotice done={done} page={page} />}
      <FailedWriteNotice {...{ refusal, problem, permissions, organisation, returnTo }} />
      {missingScope !== undefined && (
        <PermissionNotice
          permission={permissionFor(permissions, missingScope)}
          organisation={organisation}
          returnTo={returnTo}
        />
      )}
      <div class="columns">
        <section aria-labelledby="list-heading">
          <h2 id="list-heading" class="visually-hidden">
            Your organisation’s contacts
          </h2>
          {page && (
            <ContactList
              page={page}
              query={query}
              done={done}
              mayChange={may('update:contacts')}
              mayDelete={may('delete:contacts')}
            />
          )}
          {!page && (
            <p class="card">
              {missingScope === undefined
                ? 'The contacts cannot be shown right now.'
                : 'The contacts are not shown to you.'}
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
            {!may('create:contacts') && <AddHint />}
          </ContactForm>
          <Permissions permissions={permissions} organisation={organisation} returnTo={returnTo} />
        </aside>
      </div>
    </Layout>
  );
}

function AddHint() {
  return (
    <p class="hint">
      Adding takes the scope <code>create:contacts</code> and your sign-in was not granted it, so
      the API will refuse this. You can see it do so.
    </p>
  );
}

function DoneNotice({ done, page }: { done: Done; page: ContactPage | undefined }) {
  const name = page?.contacts.find(({ id }) => id === done.id)?.name;
  return (
    <p class="notice good" role="status" data-saved>
      {name ? <strong>{name}</strong> : 'The contact'}
      {` was ${done.what}.`}
    </p>
  );
}

/** Undefined where there is nothing to count: the page says so itself. */
function summary(
  { contacts, next }: ContactPage,
  { q, cursor }: ContactQuery,
  organisation: string | undefined,
): string | undefined {
  const { length } = contacts;
  if (length === 0) return undefined;
  const people = length === 1 ? '1 person' : `${length} people`;
  const count = next || cursor ? `${people} on this page` : people;
  const what = q ? `${count} found for “${q}”` : count;
  return organisation ? `${what}, shared within ${organisation}` : what;
}
