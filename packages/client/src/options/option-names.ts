/** The names of an interface's members; the compiler refuses one that is missing or too many. */
export type NamesOf<Options> = Readonly<Record<keyof Required<Options>, true>>;

/** Names by group; the group `''` is that of the options outside any group. */
export type OptionNames = Readonly<Record<string, Readonly<Record<string, true>>>>;

/** Options that nobody knows, each with what was probably meant, in one fault; else none. */
export function unknownOptionFaults(
  groups: Readonly<Record<string, object>>,
  known: OptionNames,
): string[] {
  const unknown = Object.entries(groups).flatMap(([group, options]) =>
    Object.keys(options)
      .filter((name) => !Object.hasOwn(known[group] ?? {}, name))
      .map((name) => path(group, name) + hint(group, name, known)),
  );
  return unknown.length > 0 ? [`unknown: ${unknown.join(', ')}`] : [];
}

/** The same name in another spelling, in the same group before others. */
function hint(group: string, name: string, known: OptionNames): string {
  const groups = [group, ...Object.keys(known).filter((other) => other !== group)];
  for (const place of groups) {
    const meant = Object.keys(known[place] ?? {}).find(
      (other) => other.toLowerCase() === name.toLowerCase(),
    );
    if (meant) return ` (did you mean ${path(place, meant)}?)`;
  }
  return '';
}

function path(group: string, name: string): string {
  return group === '' ? name : `${group}.${name}`;
}
