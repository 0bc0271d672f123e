import type { ComponentChildren, VNode } from 'preact';
import { Avatar } from '../views/layout.tsx';
import {
  CONTACT_SORTS,
  type Contact,
  type ContactField,
  type ContactPage,
  type ContactQuery,
  contactsURL,
  MAX_SEARCH_LENGTH,
} from './contacts-api.ts';

/** Change that led back to the list. */
export interface LastChange {
  readonly action: 'added' | 'changed' | 'deleted';
  readonly id: string;
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

export function ContactList({ page, query, ...rest }: ContactListProps): VNode {
  const isAll = query.q === '' && query.cursor === '';
  if (page.contacts.length === 0 && isAll) {
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
      {page.contacts.length === 0 ? (
        <div class="card empty">
          <h3>{query.q ? `No contact found for “${query.q}”` : 'No contacts on this page'}</h3>
          <p>
            <a href="/contacts">See all contacts</a>
          </p>
        </div>
      ) : (
        <ul class="contacts">
          {page.contacts.map((contact) => (
            <Row key={contact.id} contact={contact} {...rest} />
          ))}
        </ul>
      )}
      <Pages page={page} query={query} />
    </>
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

type RowProps = { contact: Contact } & Omit<ContactListProps, 'page' | 'query'>;

function Row({ contact, lastChange, mayUpdate, mayDelete }: RowProps) {
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
    <li class={id === lastChange?.id ? 'contact new' : 'contact'}>
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
            <a href={`/contacts/${id}/edit`} aria-label={`Edit ${name}`}>
              Edit
            </a>
          )}
          {mayDelete && (
            <a href={`/contacts/${id}/delete`} aria-label={`Delete ${name}`}>
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
  return (
    <nav class="pages" aria-label="Pages">
      {query.cursor && <a href={contactsURL({ ...query, cursor: '' })}>First page</a>}
      {page.next && (
        <a rel="next" href={contactsURL({ ...query, cursor: page.next })}>
          Next page
        </a>
      )}
    </nav>
  );
}
