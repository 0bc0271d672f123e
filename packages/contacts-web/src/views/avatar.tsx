import type { VNode } from 'preact';

const TINTS = 6;

/** The initials of a name on a colour that is always the same for it. Decoration only. */
export function Avatar({ name }: { name: string }): VNode {
  return (
    <span class={`avatar tint-${tint(name)}`} aria-hidden="true">
      {initials(name)}
    </span>
  );
}

/** The first letters of the first and the last word. */
export function initials(name: string): string {
  const words = name.split(/[\s@]+/u).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const [first = '', last = ''] = [words[0], words.length > 1 ? words.at(-1) : ''];
  return `${[...first][0] ?? '?'}${[...last][0] ?? ''}`.toUpperCase();
}

function tint(name: string): number {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return sum % TINTS;
}
