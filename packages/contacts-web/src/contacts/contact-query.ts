import type { ParsedUrlQuery } from 'node:querystring';

/** Values of the API's `sort` parameter. */
export const CONTACT_SORTS = ['name', '-name', '-updated_at', '-created_at'] as const;

/** Search, order and page of the list. */
export interface ContactQuery {
  /** Text to search for. Empty for all contacts. */
  readonly q: string;
  readonly sort: (typeof CONTACT_SORTS)[number];
  /** `next` of the page before. Empty for the first page. */
  readonly cursor: string;
  /** Number of the page, from 1. Undefined for a cursor from elsewhere. */
  readonly page: number | undefined;
  /** Cursors of the pages before this one, except the first. The API only leads forwards. */
  readonly before: readonly string[];
}

export const MAX_SEARCH_LENGTH = 200;
/** Characters of all cursors in `before`: addresses must stay short. */
const MAX_BEFORE_LENGTH = 1000;
const DEFAULT_QUERY: ContactQuery = { q: '', sort: 'name', cursor: '', page: 1, before: [] };

/** Reads search, order and page from a page's address. Unknown values are ignored. */
export function readContactQuery(query: ParsedUrlQuery): ContactQuery {
  const text = (name: string): string => {
    const value = query[name];
    return typeof value === 'string' ? value.trim() : '';
  };
  const first: ContactQuery = {
    ...DEFAULT_QUERY,
    q: text('q').slice(0, MAX_SEARCH_LENGTH),
    sort: CONTACT_SORTS.find((known) => known === text('sort')) ?? DEFAULT_QUERY.sort,
  };
  const cursor = text('cursor');
  if (cursor === '') return first;
  const page = /^[1-9]\d{0,5}$/.test(text('page')) ? Number(text('page')) : undefined;
  return {
    ...first,
    cursor,
    page,
    before: nearestCursors([query.before ?? []].flat().filter(Boolean)),
  };
}

/** Returns the query of the first page of the same search. */
export function firstPage({ q, sort }: ContactQuery): ContactQuery {
  return { ...DEFAULT_QUERY, q, sort };
}

/** Returns the query of the next page. */
export function nextPage(query: ContactQuery, cursor: string): ContactQuery {
  const before = query.cursor ? nearestCursors([...query.before, query.cursor]) : [];
  return { ...query, cursor, page: query.page && query.page + 1, before };
}

/** Returns the query of the previous page. Undefined on the first page, and if the previous page is unknown. */
export function previousPage(query: ContactQuery): ContactQuery | undefined {
  const cursor = query.before.at(-1);
  if (cursor === undefined) return query.page === 2 ? firstPage(query) : undefined;
  return {
    ...query,
    cursor,
    page: query.page && query.page - 1,
    before: query.before.slice(0, -1),
  };
}

/** Returns the cursors nearest to the page, at most `MAX_BEFORE_LENGTH` characters of them. */
function nearestCursors(cursors: readonly string[]): readonly string[] {
  let length = 0;
  const start = cursors.findLastIndex((cursor) => {
    length += cursor.length;
    return length > MAX_BEFORE_LENGTH;
  });
  return cursors.slice(start + 1);
}

/**
 * Returns the address of the list, or of a form that leads back to it. Parameters that have their
 * default are left out.
 *
 * @param path path of the form below the list
 * @param more further parameters
 */
export function contactsURL(
  query: ContactQuery,
  path = '',
  more: Readonly<Record<string, string>> = {},
): string {
  const parameters = new URLSearchParams();
  for (const name of ['q', 'sort', 'cursor', 'page'] as const) {
    const value = query[name];
    if (value !== undefined && value !== DEFAULT_QUERY[name]) parameters.set(name, String(value));
  }
  for (const cursor of query.before) parameters.append('before', cursor);
  for (const [name, value] of Object.entries(more)) parameters.set(name, value);
  return `/contacts${path}${parameters.size > 0 ? `?${parameters}` : ''}`;
}
