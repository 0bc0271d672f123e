import type { VNode } from 'preact';
import { CONTACT_FIELDS, type Refusal } from '../contacts-api.ts';
import type { WriteProblem } from '../failed-write.ts';
import { type Permission, permissionFor } from '../permissions.ts';
import { complaint } from './contact-fields.ts';
import { PermissionNotice } from './permission-notice.tsx';

interface FailedWriteNoticeProps {
  readonly refusal?: Refusal | undefined;
  readonly problem?: WriteProblem | undefined;
  readonly permissions: readonly Permission[];
  readonly organisation: string | undefined;
  readonly returnTo: string;
}

/** Why a contact was not saved, above the form that still has it. */
export function FailedWriteNotice(props: FailedWriteNoticeProps): VNode | null {
  const { refusal, problem, permissions, organisation, returnTo } = props;
  if (refusal) return <RefusalNotice refusal={refusal} />;
  if (problem?.kind === 'unavailable') return <UnavailableNotice />;
  if (problem === undefined) return null;
  return (
    <PermissionNotice
      permission={permissionFor(permissions, problem.scope)}
      organisation={organisation}
      returnTo={returnTo}
      kept="What you typed is still in the form."
    />
  );
}

/** What the API did not accept, with a link to each field at fault. */
function RefusalNotice({ refusal }: { refusal: Refusal }) {
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

function UnavailableNotice() {
  return (
    <div class="notice bad" role="alert">
      <h2>The API cannot be reached right now</h2>
      <p>
        The contact may not have been saved. What you typed is <StillInTheForm />: try again in a
        moment.
      </p>
    </div>
  );
}

function StillInTheForm() {
  return <a href="#contact-form">still in the form</a>;
}
