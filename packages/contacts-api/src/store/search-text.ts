/**
 * A text as it is searched and sorted: without case and accents, the same on every engine.
 * "Émilie" is found as "emilie", and stands between "Emil" and "Emma".
 */
export function searchText(...parts: readonly (string | null | undefined)[]): string {
  return parts.filter(Boolean).join('\n').normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}
