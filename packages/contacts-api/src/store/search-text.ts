/** Maximum characters of a part. Normalization turns one character into up to eighteen. */
const MAX_PART_LENGTH = 200;
/** Maximum characters of three parts: name, e-mail address and company, and two line feeds. */
export const MAX_SEARCH_TEXT_LENGTH = 3 * MAX_PART_LENGTH + 2;

/** Letters and punctuation that Unicode does not decompose (UAX #15), as a keyboard writes them. */
const PLAIN: Readonly<Record<string, string>> = {
  ł: 'l',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ħ: 'h',
  ŧ: 't',
  þ: 'th',
  æ: 'ae',
  œ: 'oe',
  ς: 'σ',
  ...plain("'", '‘’‚‛′ʹʻʼʽˈ`´'),
  ...plain('"', '“”„‟″«»'),
  ...plain('-', '‐‑‒–—―−'),
};
const PLAIN_KEYS = new RegExp(`[${Object.keys(PLAIN).join('')}]`, 'gu');

function plain(ascii: string, characters: string): Record<string, string> {
  return Object.fromEntries([...characters].map((character) => [character, ascii]));
}

/**
 * Returns a text in the form that is searched and sorted: without case, accents and typographic
 * marks, the same on every engine. "Łukasz D’Arc" is found as "lukasz d'arc".
 */
export function searchText(...parts: readonly (string | null | undefined)[]): string {
  return parts
    .filter((part): part is string => !!part)
    .map((part) => foldText(part).slice(0, MAX_PART_LENGTH))
    .join('\n')
    .replace(/\p{Cs}/gu, '');
}

function foldText(text: string): string {
  // NFKD would turn the acute accent of a keyboard into a space and a mark, so it is replaced first.
  return (
    text
      .replace(/[´ʹ]/g, "'")
      .normalize('NFKD')
      // Marks, and characters without a width such as the soft hyphen.
      .replace(/[\p{M}\p{Cf}]/gu, '')
      .normalize('NFC')
      .toUpperCase()
      .toLowerCase()
      .replace(PLAIN_KEYS, (character) => PLAIN[character] ?? character)
  );
}
