/**
 * Where an Action or a rule sends the user.
 *
 * @param query further parameters, by name.
 * @param caller is named in the error.
 * @throws Error when it is no absolute http or https URL.
 */
export function redirectUrl(url: unknown, query: unknown, caller: string): string {
  if (typeof url !== 'string' || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Error(`${caller}: give an absolute URL that begins with https:// or http://`);
  }
  const target = new URL(url);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null) target.searchParams.set(name, String(value));
  }
  return target.href;
}
