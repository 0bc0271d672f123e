import { CONTACT_FIELDS, type ContactField, type Refusal } from '../contacts-api.ts';

/** What the fields of a contact are called. */
export const LABELS: Readonly<Record<ContactField, string>> = {
  name: 'Name',
  email: 'E-mail',
  phone: 'Phone',
  company: 'Company',
  notes: 'Notes',
};

/** What is wrong with a field, as a sentence: the API says "must not be empty". */
export function complaint(name: ContactField, refusal: Refusal | undefined): string | undefined {
  const message = refusal?.fields[name];
  return message && `${LABELS[name]} ${message.replace(/[.!]?$/, '.')}`;
}

/** The field to look at first. */
export function firstAtFault(refusal: Refusal | undefined): ContactField | undefined {
  return CONTACT_FIELDS.find((name) => refusal?.fields[name]);
}
