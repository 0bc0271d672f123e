import type { IncomingHttpHeaders } from 'node:http';
import { PreconditionFailed } from './errors.ts';

/** The entity tag of a contact's present state (RFC 9110 §8.8.3). */
export function entityTag({ version }: { readonly version: number }): string {
  return `"${version}"`;
}

/**
 * Judges whether a change is meant for the state that the contact is in (RFC 9110 §13.1.1, §13.1.2).
 *
 * @throws PreconditionFailed (412) when it is not
 */
export function checkPreconditions(
  headers: Pick<IncomingHttpHeaders, 'if-match' | 'if-none-match'>,
  contact: { readonly version: number },
): void {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match !== undefined && !names(match, contact)) throw new PreconditionFailed();
  if (noneMatch !== undefined && names(noneMatch, contact)) throw new PreconditionFailed();
}

function names(condition: string, contact: { readonly version: number }): boolean {
  const tags = condition.split(',').map((tag) => tag.trim());
  return condition.trim() === '*' || tags.includes(entityTag(contact));
}
