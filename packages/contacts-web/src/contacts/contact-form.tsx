import type { ComponentChildren, VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import {
  CONTACT_FIELDS,
  type ContactDraft,
  type ContactField,
  type FailedWrite,
  type Refusal,
} from './contacts-api.ts';
import { PermissionNotice, type PermissionsProps, permissionFor } from './permissions.tsx';

interface FieldLook {
  readonly label: string;
  readonly required?: boolean;
  /** Keyboard of a phone. The browser does not check the text, the API does. */
  readonly inputMode?: 'email' | 'tel';
  /** Rows of a field for a longer text. */
  readonly rows?: number;
}

/** Labels and inputs of the fields of a contact. */
export const FIELD_LOOKS: Readonly<Record<ContactField, FieldLook>> = {
  name: { label: 'Name', required: true },
  email: { label: 'E-mail', required: true, inputMode: 'email' },
  phone: { label: 'Phone', inputMode: 'tel' },
  company: { label: 'Company' },
  notes: { label: 'Notes', rows: 3 },
};

interface ContactFormProps {
  readonly title: string;
  readonly action: string;
  readonly submit: string;
  /** Version of the contact that the form shows. Undefined for a new contact. */
  readonly version?: number;
  readonly user: SignedInUser | undefined;
  readonly draft?: ContactDraft | undefined;
  readonly refusal?: Refusal | undefined;
  /** Hints above the fields, for example about a missing scope. */
  readonly children?: ComponentChildren;
}

interface FieldProps {
  readonly name: ContactField;
  readonly draft: ContactDraft | undefined;
  readonly refusal: Refusal | undefined;
}

/** Form of a contact. It has `noValidate`: only the API checks the fields. */
export function ContactForm(props: ContactFormProps): VNode {
  const { title, action, submit, version, user, draft, refusal, children } = props;
  return (
    <form
      id="contact-form"
      class="card"
      method="post"
      action={action}
      noValidate
      data-draft-of={user?.pseudonym}
      aria-labelledby="form-heading"
    >
      <h2 id="form-heading">{title}</h2>
      {children}
      {version !== undefined && <input type="hidden" name="version" value={version} />}
      {CONTACT_FIELDS.map((name) => (
        <Field key={name} name={name} draft={draft} refusal={refusal} />
      ))}
      <button type="submit">{submit}</button>
    </form>
  );
}

function Field({ name, draft, refusal }: FieldProps) {
  const { label, required, inputMode, rows } = FIELD_LOOKS[name];
  const message = fieldMessage(name, refusal);
  const messageId = `${name}-message`;
  const attributes = {
    id: name,
    name,
    required,
    ...(message && {
      // The first refused field gets the focus.
      autofocus: name === CONTACT_FIELDS.find((other) => refusal?.fields[other]),
      'aria-invalid': true as const,
      'aria-describedby': messageId,
    }),
  };
  const value = draft?.[name] ?? '';
  return (
    <div class="field">
      <label for={name}>
        {label}
        {!required && <span class="optional">optional</span>}
      </label>
      {rows === undefined ? (
        <input {...attributes} type="text" inputMode={inputMode} value={value} autoComplete="off" />
      ) : (
        <textarea {...attributes} rows={rows}>
          {/* The HTML parser drops a leading newline of a textarea. */}
          {`\n${value}`}
        </textarea>
      )}
      {message && <small id={messageId}>{message}</small>}
    </div>
  );
}

type FailedWriteNoticeProps = PermissionsProps & Pick<FailedWrite, 'refusal' | 'problem'>;

/** Notice above a form: the reason why the contact was not saved. */
export function FailedWriteNotice(props: FailedWriteNoticeProps): VNode | null {
  const { refusal, problem, permissions, organization, returnTo } = props;
  if (refusal) return <RefusalNotice refusal={refusal} />;
  if (problem === undefined) return null;
  if (problem.kind === 'unavailable') {
    return (
      <div class="notice bad" role="alert">
        <h2>The API cannot be reached right now</h2>
        <p>
          The contact may not have been saved. What you typed is <StillInTheForm />. Try again in a
          moment.
        </p>
      </div>
    );
  }
  return (
    <PermissionNotice
      permission={permissionFor(permissions, problem.scope)}
      organization={organization}
      returnTo={returnTo}
      kept="What you typed is still in the form."
    />
  );
}

/** List of the refused fields, with a link to each. */
function RefusalNotice({ refusal }: { refusal: Refusal }) {
  const { fields, other } = refusal;
  return (
    <div class="notice bad" role="alert">
      <h2>The contact was not saved yet</h2>
      <ul>
        {CONTACT_FIELDS.filter((name) => fields[name]).map((name) => (
          <li key={name}>
            <a href={`#${name}`}>{fieldMessage(name, refusal)}</a>
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

function StillInTheForm() {
  return <a href="#contact-form">still in the form</a>;
}

/** Returns a sentence about a refused field. The API's message has no subject: "must not be empty". */
function fieldMessage(name: ContactField, refusal: Refusal | undefined): string | undefined {
  const message = refusal?.fields[name];
  return message && `${FIELD_LOOKS[name].label} ${message.replace(/[.!]?$/, '.')}`;
}
