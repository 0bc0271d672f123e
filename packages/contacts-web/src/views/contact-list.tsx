import type { VNode } from 'preact';
import type { Contact, ContactPage } from '../contacts-api.ts';
import { Avatar } from './avatar.tsx';

interface ContactListProps {
  readonly page: ContactPage;
  /** The one to point out. */
  readonly addedId?: string | undefined;
}

export function ContactList({ page, addedId }: ContactListProps): VNode {
  if (page.contacts.length === 0) return <Empty />;
  return (
    <>
      <ul class="contacts">
        {page.contacts.map((contact) => (
          <Row key={contact.id} contact={contact} isNew={contact.id === addedId} />
        ))}
      </ul>
      {page.hasMore && <p class="more">There are more than fit on this page.</p>}
    </>
  );
}

function Row({ contact, isNew }: { contact: Contact; isNew: boolean }) {
  const { name, email, phone, company, notes } = contact;
  return (
    <li class={isNew ? 'contact new' : 'contact'}>
      <Avatar name={name} />
      <div class="who">
        <h3>
          {name}
          {isNew && <span class="badge">new</span>}
        </h3>
        {company && <p>{company}</p>}
      </div>
      <div class="reach">
        <a href={`mailto:${encodeURIComponent(email).replace('%40', '@')}`}>{email}</a>
        {phone && <a href={`tel:${phone.replaceAll(/[^+\d]/g, '')}`}>{phone}</a>}
      </div>
      {notes && <p class="notes">{notes}</p>}
    </li>
  );
}

function Empty() {
  return (
    <div class="card empty">
      <h3>No contacts yet</h3>
      <p>Add the first one: everyone in your organisation will see it.</p>
    </div>
  );
}
