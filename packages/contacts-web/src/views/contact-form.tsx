import type { VNode } from 'preact';
import type { ContactDraft, ContactField, Refusal } from '../contacts-api.ts';

export interface ContactFormProps {
  readonly draft?: ContactDraft | undefined;
  readonly refusal?: Refusal | undefined;
  /** Whether the scopes granted allow it. The form is there in any case: the API decides. */
  readonly mayAdd: boolean;
}

interface FieldProps {
  readonly name: ContactField;
  readonly label: string;
  /** Which keys a phone shows; the text is left as typed, for the API to judge. */
  readonly inputMode?: 'email' | 'tel';
  readonly required?: boolean;
  readonly draft: ContactDraft | undefined;
  readonly message: string | undefined;
}

/** Checked by the API alone, so that one place decides; hence `noValidate`. */
export function ContactForm({ draft, refusal, mayAdd }: ContactFormProps): VNode {
  const field = (name: ContactField) => ({ name, draft, message: refusal?.fields[name] });
  return (
    <form class="card" method="post" action="/contacts" noValidate aria-labelledby="add-heading">
      <h2 id="add-heading">Add a contact</h2>
      {!mayAdd && (
        <p class="hint">
          Your sign-in was not granted <code>create:contacts</code>, so the API will refuse this.
          You can see it do so.
        </p>
      )}
      {refusal && (
        <div class="notice bad" role="alert">
          <p>
            <strong>Not saved yet.</strong> Please look at what is marked below.
          </p>
          {refusal.other.map((message) => (
            <p key={message}>{message}</p>
          ))}
        </div>
      )}
      <Field {...field('name')} label="Name" required />
      <Field {...field('email')} label="E-mail" inputMode="email" required />
      <Field {...field('phone')} label="Phone" inputMode="tel" />
      <Field {...field('company')} label="Company" />
      <Notes {...field('notes')} />
      <button type="submit">Add contact</button>
    </form>
  );
}

function Field({ name, label, inputMode, required, draft, message }: FieldProps) {
  return (
    <div class="field">
      <Label name={name} label={label} required={required} />
      <input
        id={name}
        name={name}
        type="text"
        inputMode={inputMode}
        value={draft?.[name] ?? ''}
        autoComplete="off"
        required={required}
        {...complaint(name, message)}
      />
      <Message name={name} message={message} />
    </div>
  );
}

function Notes({ name, draft, message }: Pick<FieldProps, 'name' | 'draft' | 'message'>) {
  return (
    <div class="field">
      <Label name={name} label="Notes" />
      <textarea id={name} name={name} rows={3} {...complaint(name, message)}>
        {/* The parser drops a line end that comes first. */}
        {`\n${draft?.[name] ?? ''}`}
      </textarea>
      <Message name={name} message={message} />
    </div>
  );
}

function Label({ name, label, required }: Partial<FieldProps>) {
  return (
    <label for={name}>
      {label}
      {!required && <span class="optional">optional</span>}
    </label>
  );
}

function Message({ name, message }: Pick<FieldProps, 'name' | 'message'>) {
  if (!message) return null;
  return <small id={`${name}-message`}>{message}</small>;
}

function complaint(name: string, message: string | undefined) {
  return message ? ({ 'aria-invalid': true, 'aria-describedby': `${name}-message` } as const) : {};
}
