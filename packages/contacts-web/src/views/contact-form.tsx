import type { ComponentChildren, VNode } from 'preact';
import type { ContactDraft, ContactField, Refusal } from '../contacts-api.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { complaint, firstAtFault, LABELS } from './contact-fields.ts';

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
  /** Which keys a phone shows; the text is left as typed, for the API to judge. */
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
