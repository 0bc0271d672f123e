import { PreconditionFailed } from './errors.ts';

/** The entity tag of a contact's present state (RFC 9110 §8.8.3). */
export function entityTag({ version }: { readonly version: number }): string {
  return `"${version}"`;
}

/**
 * Judges `If-Match` (RFC 9110 §13.1.1): the change is meant for this state, or for any (`*`).
 *
 * @param ifMatch the header's value, empty when it was not sent
 * @throws PreconditionFailed (412) when the contact has changed since
 */
export function checkIfMatch(ifMatch: string, contact: { readonly version: number }): void {
  if (ifMatch === '' || ifMatch.trim() === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (!tags.includes(entityTag(contact))) throw new PreconditionFailed();
}
