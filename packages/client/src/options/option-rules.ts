import { isSecureURL, parseURL } from '@koa-oauth/issuer';

/** Rule for the value of one option; `text` says what is wrong with a value that breaks it. */
export interface OptionRule {
  readonly text: string;
  readonly isMet: (value: unknown) => boolean;
}

/** Rules by group and name; the group `''` is that of the options outside any group. */
export type OptionRules = Readonly<Record<string, Readonly<Record<string, OptionRule>>>>;

const MIN_SECRET_LENGTH = 32;
const MIN_SECRET_CHARACTERS = 8;
/** A word again and again, with a shorter rest. */
const REPEATED_WORD = /^(.{1,16})\1+.{0,15}$/s;
const STORE_METHODS =
  'create, read, update, touch, destroy, list, destroyAll, recordEnd, acquire, extend, release, once, close';

function rule(text: string, isMet: (value: unknown) => boolean): OptionRule {
  return { text, isMet };
}

/** For an option that is judged together with others, not by a rule. */
export const anything = rule('', () => true);

export const boolean = rule('must be true or false', (value) => typeof value === 'boolean');

export const idpLogout = rule(
  'must be true, false or "id_token_hint"',
  (value) => typeof value === 'boolean' || value === 'id_token_hint',
);

export const fapi2 = rule('must be fapi2', (value) => value === 'fapi2');

export const callback = rule('must be a function', (value) => typeof value === 'function');

export const cookieName = rule(
  'must be letters, digits, ".", "_" or "-", without a prefix such as "__Host-", which https adds',
  // RFC 6265bis §4.1.3: browsers drop such a cookie on http, in upper or lower case.
  (value) => /^(?!__(host|secure|http)-)[\w.-]+$/i.test(String(value)),
);

export const url = rule(
  'must be an https URL (http on a loopback address) without query, fragment, white space or "//" in front of its path',
  (value) => {
    const url = parseURL(value);
    if (!url || !isSecureURL(url)) return false;
    // A URL parser ignores white space; the redirect URI is made from this text.
    if (/[?#\s]/.test(String(value)) || url.username || url.password) return false;
    // A redirect to a path that begins so leads to another host.
    return !url.pathname.startsWith('//');
  },
);

export const secrets = rule(
  `must be ${MIN_SECRET_LENGTH} random characters or more, without repetitions, or a list of such ` +
    '(`openssl rand -base64 32` makes one)',
  (value) => {
    const list: unknown[] = [value].flat();
    const isStrong = (one: unknown) =>
      typeof one === 'string' &&
      one.length >= MIN_SECRET_LENGTH &&
      new Set(one).size >= MIN_SECRET_CHARACTERS &&
      !REPEATED_WORD.test(one);
    return list.length > 0 && list.every(isStrong);
  },
);

export const store = rule(`must have ${STORE_METHODS}`, (value) => {
  const methods = (value ?? {}) as Record<string, unknown>;
  return STORE_METHODS.split(', ').every((name) => typeof methods[name] === 'function');
});

export function path(example: string): OptionRule {
  return rule(
    `must be a path such as ${example}`,
    (value) => typeof value === 'string' && /^\/[\w./~-]*$/.test(value),
  );
}

export function wholeNumber(min: number, max: number): OptionRule {
  return rule(
    `must be a whole number from ${min} to ${max}`,
    (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
  );
}

export function optional({ text, isMet }: OptionRule): OptionRule {
  return rule(text, (value) => value === undefined || value === null || isMet(value));
}

export function orFalse({ text, isMet }: OptionRule): OptionRule {
  return rule(text, (value) => value === false || isMet(value));
}

/** Returns a sentence for each option of a group that breaks its rule. */
export function faultsOf(rules: OptionRules, group: string, options: object): string[] {
  return Object.entries(rules[group] ?? {})
    .filter(([name, { isMet }]) => !isMet((options as Record<string, unknown>)[name]))
    .map(([name, { text }]) => `${pathOf(group, name)} ${text}`);
}

/** Returns one fault that names all unknown options, each with what was probably meant; else none. */
export function unknownOptions(rules: OptionRules, groups: Record<string, object>): string[] {
  const unknown = Object.entries(groups).flatMap(([group, options]) =>
    Object.keys(options)
      .filter((name) => !Object.hasOwn(rules[group] ?? {}, name))
      .map((name) => pathOf(group, name) + hint(rules, group, name)),
  );
  return unknown.length > 0 ? [`unknown: ${unknown.join(', ')}`] : [];
}

/** Finds the same name in another spelling, in the same group before others. */
function hint(rules: OptionRules, group: string, name: string): string {
  for (const place of [group, ...Object.keys(rules)]) {
    const meant = Object.keys(rules[place] ?? {}).find(
      (other) => other.toLowerCase() === name.toLowerCase(),
    );
    if (meant) return ` (did you mean ${pathOf(place, meant)}?)`;
  }
  return '';
}

function pathOf(group: string, name: string): string {
  return group === '' ? name : `${group}.${name}`;
}
