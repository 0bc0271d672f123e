import type { VNode } from 'preact';
import { CONTACT_FIELDS, type Refusal } from '../contacts-api.ts';
import { complaint } from './contact-fields.ts';

/** What the API did not accept, with a link to each field at fault. */
export function RefusalNotice({ refusal }: { refusal: Refusal }): VNode {
  const { fields, other } = refusal;
  return (
    <div class="notice bad" role="alert">
      <h2>The contact was not saved yet</h2>
      <ul>
        {CONTACT_FIELDS.filter((name) => fields[name]).map((name) => (
          <li key={name}>
            <a href={`#${name}`}>{complaint(name, refusal)}</a>
          </li>
        ))}
        {other.map((message) => (
          <li key={message}>{message}</li>
        ))}
      </ul>
      <p>
        What you typed is <StillInTheForm />.
      </p>
    </div>
  );
}

export function UnavailableNotice(): VNode {
  return (
    <div class="notice bad" role="alert">
      <h2>The API cannot be reached right now</h2>
      <p>
        The contact was not saved. What you typed is <StillInTheForm />: try again in a moment.
      </p>
    </div>
  );
}

interface ScopeNoticeProps {
  readonly refused: 'see' | 'add';
  readonly scope: string;
  readonly grantedScopes: readonly string[];
  readonly organisation: string | undefined;
}

export function ScopeNotice({ refused, scope, grantedScopes, organisation }: ScopeNoticeProps) {
  const whose = organisation ? ` of ${organisation}` : '';
  return (
    <div class="notice bad" role="alert">
      <h2>{`You may not ${refused} contacts`}</h2>
      <p>
        The API refused: this takes the scope <code>{scope}</code> and your sign-in was not granted
        it.
      </p>
      {refused === 'add' && (
        <p>
          Nothing was saved. What you typed is <StillInTheForm />.
        </p>
      )}
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

function StillInTheForm() {
  return <a href="#add">still in the form</a>;
}
