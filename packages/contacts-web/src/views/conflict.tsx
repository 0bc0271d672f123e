import type { VNode } from 'preact';
import { CONTACT_FIELDS, type Contact, type ContactDraft } from '../contacts-api.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { LABELS } from './contact-fields.ts';
import { Layout } from './layout.tsx';

interface ConflictPageProps {
  readonly user: SignedInUser | undefined;
  /** As the API has it now. */
  readonly current: Contact;
  /** As it was typed over an older version. */
  readonly draft: ContactDraft;
}

/** Two people changed the same contact: both versions, and a choice that loses nothing unseen. */
export function ConflictPage({ user, current, draft }: ConflictPageProps): VNode {
  const action = `/contacts/${current.id}/edit`;
  return (
    <Layout title="Not saved · Contacts" user={user} current="contacts">
      <div class="notice bad" role="alert">
        <h2>Somebody has changed this contact meanwhile</h2>
        <p>Yours was not saved, so that theirs is not lost. Compare the two, then choose.</p>
      </div>
      <h1>{current.name}</h1>
      <div class="card">
        <table class="versions">
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">Theirs, saved</th>
              <th scope="col">Yours, typed</th>
            </tr>
          </thead>
          <tbody>
            {CONTACT_FIELDS.map((name) => {
              const theirs = current[name] ?? '';
              const isSame = theirs === draft[name].trim();
              return (
                <tr key={name} class={isSame ? undefined : 'differs'}>
                  <th scope="row">
                    {LABELS[name]}
                    {!isSame && <span class="visually-hidden"> (differs)</span>}
                  </th>
                  <td>{theirs || '–'}</td>
                  <td>{draft[name] || '–'}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <form class="actions" method="post" action={action}>
        <input type="hidden" name="version" value={current.version} />
        {CONTACT_FIELDS.map((name) => (
          <input key={name} type="hidden" name={name} value={draft[name]} />
        ))}
        <button type="submit">Save mine over it</button>
        <a class="button outline" href={action} data-discards={action}>
          Start from theirs
        </a>
        <a class="button outline" href="/contacts" data-discards={action}>
          Leave it as it is
        </a>
      </form>
    </Layout>
  );
}
