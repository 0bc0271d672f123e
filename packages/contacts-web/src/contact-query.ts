import { CONTACT_SORTS, type ContactQuery } from './contacts-api.ts';

const FIRST: ContactQuery = { q: '', sort: 'name', cursor: '' };

/** Reads which contacts a page's address asks for; what is none of ours counts as not given. */
export function readContactQuery(query: Readonly<Record<string, unknown>>): ContactQuery {
  const text = (name: string): string => {
    const value = query[name];
    return typeof value === 'string' ? value.trim() : '';
  };
  const sort = CONTACT_SORTS.find((known) => known === text('sort')) ?? FIRST.sort;
  return { q: text('q').slice(0, 200), sort, cursor: text('cursor').slice(0, 2000) };
}

/** The address of a page of the list, without what is as usual. */
export function contactsURL(query: Partial<ContactQuery>): string {
  const parameters = new URLSearchParams();
  for (const name of ['q', 'sort', 'cursor'] as const) {
    const value = query[name];
    if (value !== undefined && value !== FIRST[name]) parameters.set(name, value);
  }
  return parameters.size > 0 ? `/contacts?${parameters}` : '/contacts';
}
