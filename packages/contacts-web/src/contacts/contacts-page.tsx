import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from '../views/layout.tsx';
import { ContactForm, FailedWriteNotice } from './contact-form.tsx';
import { ContactList, type LastChange } from './contact-list.tsx';
import { type ContactQuery, contactsURL, firstPage } from './contact-query.ts';
import { type ContactPage, type FailedWrite, PAGE_SIZE } from './contacts-api.ts';
import {
  AskedNotice,
  type Permission,
  PermissionNotice,
  Permissions,
  permissionFor,
} from './permissions.tsx';

interface ContactsPageProps extends FailedWrite {
  readonly user: SignedInUser | undefined;
  /** Undefined when the API did not return the list. */
  readonly page: ContactPage | undefined;
  readonly query: ContactQuery;
  readonly permissions: readonly Permission[];
  /** Permission that the user has just asked for. */
  readonly asked: Permission | undefined;
  /** Missing scope that the list needs. */
  readonly missingScope?: string | undefined;
  readonly lastChange: LastChange | undefined;
}

export function ContactsPage(props: ContactsPageProps): VNode {
  const { user, page, query, permissions, asked, missingScope, lastChange } = props;
  const { refusal, problem } = props;
  const organization = user?.organization;
  const returnTo = contactsURL(query);
  const subtitle = page && summary(page, query, organization);
  const title = refusal || problem ? 'Not saved · Contacts' : 'Contacts';
  return (
    <Layout title={title} user={user} current="contacts">
      <header class="page-heading">
        <h1>Contacts</h1>
        {subtitle && <p>{subtitle}</p>}
        <p class="shortcuts">
          <a class="on-one-column" href="#contact-form">
            Add a contact
          </a>
          {permissionFor(permissions, 'read:activity').granted && (
            <a href="/activity">See who changed what</a>
          )}
        </p>
      </header>
      {lastChange && <ChangeNotice {...{ page, query, lastChange }} />}
      <AskedNotice permission={asked} organization={organization} />
      <FailedWriteNotice {...{ refusal, problem, permissions, organization, returnTo }} />
      {missingScope !== undefined && (
        <PermissionNotice
          permission={permissionFor(permissions, missingScope)}
          organization={organization}
          returnTo={returnTo}
        />
      )}
      <div class="columns">
        <ListSection {...props} />
        <aside>
          <AddForm {...props} />
          <Permissions permissions={permissions} organization={organization} returnTo={returnTo} />
        </aside>
      </div>
    </Layout>
  );
}

/** The list, or the reason why there is none. */
function ListSection({ page, query, permissions, missingScope, lastChange }: ContactsPageProps) {
  return (
    <section aria-labelledby="list-heading">
      <h2 id="list-heading" class="visually-hidden">
        Your organization’s contacts
      </h2>
      {page ? (
        <ContactList
          page={page}
          query={query}
          lastChange={lastChange}
          mayUpdate={permissionFor(permissions, 'update:contacts').granted}
          mayDelete={permissionFor(permissions, 'delete:contacts').granted}
        />
      ) : (
        <p class="card">
          {missingScope === undefined
            ? 'The contacts cannot be shown right now.'
            : 'You may not see the contacts.'}
        </p>
      )}
    </section>
  );
}

function AddForm({ user, permissions, draft, refusal }: ContactsPageProps) {
  return (
    <ContactForm
      title="Add a contact"
      action="/contacts"
      submit="Add contact"
      user={user}
      draft={draft}
      refusal={refusal}
    >
      {!permissionFor(permissions, 'create:contacts').granted && (
        <p class="hint">
          You need the scope <code>create:contacts</code> to add contacts. You do not have it, so
          the API will refuse. Try it to see the answer.
        </p>
      )}
    </ContactForm>
  );
}

const CHANGES: Readonly<Record<LastChange['action'], string>> = {
  added: 'was added',
  changed: 'was changed',
  deleted: 'was deleted',
  gone: 'was already deleted',
};

interface ChangeNoticeProps extends Pick<ContactsPageProps, 'page' | 'query'> {
  readonly lastChange: LastChange;
}

/** Names the contact and leads to it: in the list, or by a search for its address. */
function ChangeNotice({ page, query, lastChange }: ChangeNoticeProps) {
  const { action, id, contact } = lastChange;
  const isListed = page?.contacts.some((listed) => listed.id === id);
  const search = (q: string) => contactsURL(firstPage({ ...query, q }));
  return (
    <p class="notice good" role="status" data-saved>
      {contact ? (
        <a href={isListed ? `#contact-${id}` : search(contact.email)}>{contact.name}</a>
      ) : (
        'The contact'
      )}
      {` ${CHANGES[action]}.`}
    </p>
  );
}

/** Counts the contacts. Returns undefined for an empty list, which has a text of its own. */
function summary(
  { contacts, next }: ContactPage,
  { q, page }: ContactQuery,
  organization: string | undefined,
): string | undefined {
  if (contacts.length === 0) return undefined;
  const people = contacts.length === 1 ? '1 person' : `${contacts.length} people`;
  const isWhole = page === 1 && !next;
  const onPage = isWhole ? people : `${people} on this page`;
  // A search may end a page early, so its pages have no places.
  const isNumbered = !q && !isWhole && page !== undefined;
  const found = isNumbered ? placeOf(contacts.length, page, next) : onPage;
  const matching = q ? `${found} found for “${q}”` : found;
  return organization ? `${matching}, shared within ${organization}` : matching;
}

/** Returns the place of a page in the whole list. The API has no total: only the last page shows it. */
function placeOf(length: number, page: number, next: string | undefined): string {
  const last = (page - 1) * PAGE_SIZE + length;
  return `${last - length + 1} to ${last} of ${next ? 'more than ' : ''}${last} people`;
}
