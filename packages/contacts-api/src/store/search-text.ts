// Of each part as much is searched and sorted by; one character can stand for eighteen.
const MAX_PART = 200;

/**
 * A text as it is searched and sorted: without case and accents, the same on every engine.
 * "Émilie" is found as "emilie", and stands between "Emil" and "Emma".
 */
export function searchText(...parts: readonly (string | null | undefined)[]): string {
  return parts
    .filter((part) => !!part)
    .map((part) => fold(part as string).slice(0, MAX_PART))
    .join('\n')
    .replace(/\p{Cs}/gu, '');
}

function fold(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .normalize('NFC')
    .toUpperCase()
    .toLowerCase()
    .replaceAll('ς', 'σ');
}
