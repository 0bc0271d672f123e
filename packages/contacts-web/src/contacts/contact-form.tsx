import type { ComponentChildren, VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import {
  CONTACT_FIELDS,
  type ContactDraft,
  type ContactField,
  type Refusal,
  type WriteProblem,
} from './contacts-api.ts';
import { type Permission, PermissionNotice, permissionFor } from './permissions.tsx';

/** What the fields of a contact are called. */
export const LABELS: Readonly<Record<ContactField, string>> = {
  name: 'Name',
  email: 'E-mail',
  phone: 'Phone',
  company: 'Company',
  notes: 'Notes',
};

interface ContactFormProps {
  readonly title: string;
  readonly action: string;
  readonly submit: string;
  /** Of the contact as it was shown; a form for a new one has none. */
  readonly version?: number;
  /** Who types it. */
  readonly user: SignedInUser | undefined;
  readonly draft?: ContactDraft | undefined;
  readonly refusal?: Refusal | undefined;
  /** What is to be known before it is sent, such as a scope that is missing. */
  readonly children?: ComponentChildren;
}

interface FieldProps {
  readonly name: ContactField;
  /** Which keys a phone shows; the text is left as typed, for the API to check. */
  readonly inputMode?: 'email' | 'tel';
  readonly required?: boolean;
  readonly draft: ContactDraft | undefined;
  readonly message: string | undefined;
  /** Whether the page opens here, so that who was refused need not look for it. */
  readonly isFirst: boolean;
}

/** Checked by the API alone, so that one place decides; hence `noValidate`. */
export function ContactForm(props: ContactFormProps): VNode {
  const { title, action, submit, version, user, draft, refusal, children } = props;
  const field = (name: ContactField) => ({
    name,
    draft,
    message: complaint(name, refusal),
    isFirst: name === firstAtFault(refusal),
  });
  return (
    <form
      id="contact-form"
      class="card"
      method="post"
      action={action}
      noValidate
      data-draft-of={user?.mark}
      aria-labelledby="form-heading"
    >
      <h2 id="form-heading">{title}</h2>
      {children}
      {version !== undefined && <input type="hidden" name="version" value={version} />}
      <Field {...field('name')} required />
      <Field {...field('email')} inputMode="email" required />
      <Field {...field('phone')} inputMode="tel" />
      <Field {...field('company')} />
      <Notes {...field('notes')} />
      <button type="submit">{submit}</button>
    </form>
  );
}

function Field({ name, inputMode, required, draft, ...fault }: FieldProps) {
  return (
    <div class="field">
      <Label name={name} required={required} />
      <input
        id={name}
        name={name}
        type="text"
        inputMode={inputMode}
        value={draft?.[name] ?? ''}
        autoComplete="off"
        required={required}
        {...marks(name, fault)}
      />
      <Message name={name} message={fault.message} />
    </div>
  );
}

function Notes({ name, draft, ...fault }: FieldProps) {
  return (
    <div class="field">
      <Label name={name} />
      <textarea id={name} name={name} rows={3} {...marks(name, fault)}>
        {/* The parser drops a line end that comes first. */}
        {`\n${draft?.[name] ?? ''}`}
      </textarea>
      <Message name={name} message={fault.message} />
    </div>
  );
}

function Label({ name, required }: Pick<FieldProps, 'name' | 'required'>) {
  return (
    <label for={name}>
      {LABELS[name]}
      {!required && <span class="optional">optional</span>}
    </label>
  );
}

function Message({ name, message }: Pick<FieldProps, 'name' | 'message'>) {
  if (!message) return null;
  return <small id={`${name}-message`}>{message}</small>;
}

function marks(name: string, { message, isFirst }: Pick<FieldProps, 'message' | 'isFirst'>) {
  if (!message) return {};
  return {
    autofocus: isFirst,
    'aria-invalid': true,
    'aria-describedby': `${name}-message`,
  } as const;
}

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

/** What is wrong with a field, as a sentence: the API says "must not be empty". */
function complaint(name: ContactField, refusal: Refusal | undefined): string | undefined {
  const message = refusal?.fields[name];
  return message && `${LABELS[name]} ${message.replace(/[.!]?$/, '.')}`;
}

/** The field to look at first. */
function firstAtFault(refusal: Refusal | undefined): ContactField | undefined {
  return CONTACT_FIELDS.find((name) => refusal?.fields[name]);
}
