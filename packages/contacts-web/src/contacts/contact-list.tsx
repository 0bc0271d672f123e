import type { ComponentChildren, VNode } from 'preact';
import { Avatar } from '../views/layout.tsx';
import {
  CONTACT_SORTS,
  type ContactQuery,
  contactsURL,
  firstPage,
  MAX_SEARCH_LENGTH,
  nextPage,
  previousPage,
} from './contact-query.ts';
import type { Contact, ContactField, ContactPage } from './contacts-api.ts';

/** Change that led back to the list. */
export interface LastChange {
  readonly action: 'added' | 'changed' | 'deleted' | 'gone';
  readonly id: string;
  /** Undefined when it cannot be read, for example after its deletion. */
  readonly contact: Contact | undefined;
}

interface ContactListProps {
  readonly page: ContactPage;
  readonly query: ContactQuery;
  /** Change to point out in the list. */
  readonly lastChange?: LastChange | undefined;
  readonly mayUpdate: boolean;
  readonly mayDelete: boolean;
}

const SORT_LABELS: Readonly<Record<ContactQuery['sort'], string>> = {
  name: 'Name, A to Z',
  '-name': 'Name, Z to A',
  '-updated_at': 'Changed last',
  '-created_at': 'Added last',
};

export function ContactList(props: ContactListProps): VNode {
  const { page, query } = props;
  const isEmpty = page.contacts.length === 0;
  const isAll = query.q === '' && query.cursor === '' && !page.next;
  if (isEmpty && isAll) {
    return (
      <div class="card empty">
        <h3>No contacts yet</h3>
        <p>Add the first one. Everyone in your organization will see it.</p>
      </div>
    );
  }
  return (
    <>
      <Search query={query} />
      {isEmpty && <EmptyPage page={page} query={query} />}
      {!isEmpty && (
        <ul class="contacts">
          {page.contacts.map((contact) => (
            <Row key={contact.id} contact={contact} {...props} />
          ))}
        </ul>
      )}
      <Pages page={page} query={query} />
    </>
  );
}

/** Shows that a page has no contacts. One of a long search can be empty and have a next page. */
function EmptyPage({ page, query }: Pick<ContactListProps, 'page' | 'query'>) {
  const none = query.cursor ? 'No more contacts' : 'No contact';
  const found = query.q ? `${none} found for “${query.q}”` : 'No contacts on this page';
  return (
    <div class="card empty">
      <h3>{page.next ? `${found} so far` : found}</h3>
      <p>
        {page.next ? (
          <a href={contactsURL(nextPage(query, page.next))}>Search on</a>
        ) : (
          <a href="/contacts">See all contacts</a>
        )}
      </p>
    </div>
  );
}

function Search({ query }: { query: ContactQuery }) {
  return (
    <search>
      <form class="search" method="get" action="/contacts" data-submit-on-change>
        <div class="field">
          <label for="q">Search</label>
          <input
            id="q"
            name="q"
            type="search"
            value={query.q}
            maxLength={MAX_SEARCH_LENGTH}
            placeholder="name, e-mail or company"
            autoComplete="off"
          />
        </div>
        <div class="field">
          <label for="sort">Sort by</label>
          <select id="sort" name="sort">
            {CONTACT_SORTS.map((sort) => (
              <option key={sort} value={sort} selected={sort === query.sort}>
                {SORT_LABELS[sort]}
              </option>
            ))}
          </select>
        </div>
        <button class="quiet" type="submit">
          Show
        </button>
      </form>
    </search>
  );
}

function Row(props: { contact: Contact } & ContactListProps) {
  const { contact, query, lastChange, mayUpdate, mayDelete } = props;
  const { id, name, email, phone, company, notes } = contact;
  const shown = {
    name,
    // The "@" must stay readable; everything else of the address is encoded.
    email: <a href={`mailto:${encodeURIComponent(email).replace('%40', '@')}`}>{email}</a>,
    phone: phone && <a href={`tel:${phone.replaceAll(/[^+\d]/g, '')}`}>{phone}</a>,
    company: company && <p>{company}</p>,
    notes: notes && <p class="notes">{notes}</p>,
  } satisfies Record<ContactField, ComponentChildren>;
  return (
    <li id={`contact-${id}`} class={id === lastChange?.id ? 'contact new' : 'contact'}>
      <Avatar name={name} />
      <div class="who">
        <h3>
          {shown.name}
          {id === lastChange?.id && <span class="badge">{lastChange.action}</span>}
        </h3>
        {shown.company}
      </div>
      <div class="reach">
        {shown.email}
        {shown.phone}
      </div>
      {shown.notes}
      {(mayUpdate || mayDelete) && (
        <p class="row-actions">
          {mayUpdate && (
            <a href={contactsURL(query, `/${id}/edit`)} aria-label={`Edit ${name}`}>
              Edit
            </a>
          )}
          {mayDelete && (
            <a href={contactsURL(query, `/${id}/delete`)} aria-label={`Delete ${name}`}>
              Delete
            </a>
          )}
        </p>
      )}
    </li>
  );
}

function Pages({ page, query }: Pick<ContactListProps, 'page' | 'query'>) {
  if (!page.next && !query.cursor) return null;
  const previous = previousPage(query);
  return (
    <nav class="pages" aria-label="Pages">
      {query.cursor && query.page !== 2 && <a href={contactsURL(firstPage(query))}>First page</a>}
      {previous && (
        <a rel="prev" href={contactsURL(previous)}>
          Previous page
        </a>
      )}
      {page.next && (
        <a rel="next" href={contactsURL(nextPage(query, page.next))}>
          Next page
        </a>
      )}
    </nav>
  );
}
