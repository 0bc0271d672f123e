import type { VNode } from 'preact';
import type { Contact, ContactDraft, ContactPage, Refusal } from '../contacts-api.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { ContactForm } from './contact-form.tsx';
import { ContactList } from './contact-list.tsx';
import { RefusalNotice, ScopeNotice, UnavailableNotice } from './contact-notices.tsx';
import { Layout } from './layout.tsx';

export interface ContactsPageProps {
  readonly user: SignedInUser | undefined;
  /** Undefined when the API did not give them out. */
  readonly page: ContactPage | undefined;
  readonly grantedScopes: readonly string[];
  /** The scope that seeing contacts takes, when it is missing. */
  readonly missingScope?: string | undefined;
  /** The contact that was just added. */
  readonly added?: Contact | undefined;
  /** What was typed, when it was refused. */
  readonly draft?: ContactDraft;
  readonly refusal?: Refusal;
  readonly problem?: { kind: 'scope'; scope: string } | { kind: 'unavailable' };
}

export function ContactsPage(props: ContactsPageProps): VNode {
  const { user, page, grantedScopes, missingScope, added, draft, refusal, problem } = props;
  const organisation = user?.organisation;
  const subtitle = summary(page, organisation);
  const title = refusal || problem ? 'Not saved · Contacts' : 'Contacts';
  return (
    <Layout title={title} user={user} current="contacts">
      <header class="page-heading">
        <h1>Contacts</h1>
        {subtitle && <p>{subtitle}</p>}
      </header>
      {added && (
        <p class="notice good" role="status">
          <strong>{added.name}</strong> was added.
        </p>
      )}
      {refusal && <RefusalNotice refusal={refusal} />}
      {problem?.kind === 'scope' && (
        <ScopeNotice
          refused="add"
          scope={problem.scope}
          grantedScopes={grantedScopes}
          organisation={organisation}
        />
      )}
      {problem?.kind === 'unavailable' && <UnavailableNotice />}
      {missingScope !== undefined && (
        <ScopeNotice
          refused="see"
          scope={missingScope}
          grantedScopes={grantedScopes}
          organisation={organisation}
        />
      )}
      <div class="columns">
        <section aria-labelledby="list-heading">
          <h2 id="list-heading" class="visually-hidden">
            Your organisation’s contacts
          </h2>
          {page && <ContactList page={page} addedId={added?.id} />}
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
            draft={draft}
            refusal={refusal}
            mayAdd={grantedScopes.includes('create:contacts')}
          />
        </aside>
      </div>
    </Layout>
  );
}

/** Undefined where there is nothing to count: the page says so itself. */
function summary(
  page: ContactPage | undefined,
  organisation: string | undefined,
): string | undefined {
  if (!page || page.contacts.length === 0) return undefined;
  const { length } = page.contacts;
  const count = page.hasMore
    ? `The first ${length}`
    : length === 1
      ? '1 person'
      : `${length} people`;
  return organisation ? `${count}, shared within ${organisation}` : count;
}
