import type { VNode } from 'preact';
import type { ContactDraft, ContactField, Refusal } from '../contacts-api.ts';
import { complaint, firstAtFault, LABELS } from './contact-fields.ts';

interface ContactFormProps {
  readonly draft?: ContactDraft | undefined;
  readonly refusal?: Refusal | undefined;
  /** Whether the scopes granted allow it. The form is there in any case: the API decides. */
  readonly mayAdd: boolean;
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
export function ContactForm({ draft, refusal, mayAdd }: ContactFormProps): VNode {
  const field = (name: ContactField) => ({
    name,
    draft,
    message: complaint(name, refusal),
    isFirst: name === firstAtFault(refusal),
  });
  return (
    <form
      id="add"
      class="card"
      method="post"
      action="/contacts"
      noValidate
      aria-labelledby="add-heading"
    >
      <h2 id="add-heading">Add a contact</h2>
      {!mayAdd && (
        <p class="hint">
          Adding takes the scope <code>create:contacts</code> and your sign-in was not granted it,
          so the API will refuse this. You can see it do so.
        </p>
      )}
      <Field {...field('name')} required />
      <Field {...field('email')} inputMode="email" required />
      <Field {...field('phone')} inputMode="tel" />
      <Field {...field('company')} />
      <Notes {...field('notes')} />
      <button type="submit">Add contact</button>
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
