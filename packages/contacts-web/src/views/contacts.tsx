import type { VNode } from 'preact';
import type { Contact, ContactDraft, ContactPage, Refusal } from '../contacts-api.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { ContactForm } from './contact-form.tsx';
import { ContactList } from './contact-list.tsx';
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
  return (
    <Layout title="Contacts" user={user} current="contacts">
      <header class="page-heading">
        <h1>Contacts</h1>
        <p>{summary(page, organisation)}</p>
      </header>
      {added && (
        <p class="notice good" role="status">
          <strong>{added.name}</strong> was added.
        </p>
      )}
      {problem?.kind === 'scope' && (
        <ScopeNotice
          what="add contacts"
          scope={problem.scope}
          grantedScopes={grantedScopes}
          organisation={organisation}
        />
      )}
      {problem?.kind === 'unavailable' && (
        <div class="notice bad" role="alert">
          <h2>The API cannot be reached right now</h2>
          <p>The contact was not saved. What you typed is still below: try again in a moment.</p>
        </div>
      )}
      <div class="columns">
        <section aria-labelledby="list-heading">
          <h2 id="list-heading" class="visually-hidden">
            Your organisation’s contacts
          </h2>
          {missingScope !== undefined && (
            <ScopeNotice
              what="see contacts"
              scope={missingScope}
              grantedScopes={grantedScopes}
              organisation={organisation}
            />
          )}
          {page && <ContactList page={page} addedId={added?.id} />}
          {!page && missingScope === undefined && (
            <p class="card">The contacts cannot be shown right now.</p>
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

interface ScopeNoticeProps {
  readonly what: string;
  readonly scope: string;
  readonly grantedScopes: readonly string[];
  readonly organisation: string | undefined;
}

function ScopeNotice({ what, scope, grantedScopes, organisation }: ScopeNoticeProps) {
  const whose = organisation ? ` of ${organisation}` : '';
  return (
    <div class="notice bad" role="alert">
      <h2>{`You may not ${what}`}</h2>
      <p>
        The API refused: this takes the scope <code>{scope}</code>, which your sign-in was not
        granted. Nothing was saved.
      </p>
      <p>
        {`An administrator${whose} can grant it by giving you a role that has it. Sign out and in again afterwards.`}
      </p>
      <p class="granted">
        <span>Granted to you:</span>{' '}
        {grantedScopes.map((granted) => (
          <code key={granted}>{granted}</code>
        ))}
      </p>
    </div>
  );
}

function summary(page: ContactPage | undefined, organisation: string | undefined): string {
  const whose = organisation ? `the organisation ${organisation}` : 'you';
  if (!page) return `Shared within ${whose}`;
  const { length } = page.contacts;
  const count = page.hasMore
    ? `The first ${length}`
    : length === 1
      ? '1 person'
      : `${length} people`;
  return organisation ? `${count}, shared within ${organisation}` : count;
}
