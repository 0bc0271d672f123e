const LONGEST = 500;
const UNREADABLE = 'the reason could not be read';

/**
 * What an Action or a rule threw, or gave as its reason, as a text for whoever is denied: one line,
 * at most 500 characters, without a control character or half a character. Never throws, whatever
 * it is given: code that runs here may throw anything.
 */
export function thrownText(thrown: unknown): string {
  try {
    // An error from an Action may be of another realm, so its shape counts, not its class.
    const message = (thrown as { message?: unknown } | null | undefined)?.message;
    const text = typeof message === 'string' && message !== '' ? message : String(thrown);
    const line = text
      .slice(0, LONGEST)
      .replace(/\p{Cc}+/gu, ' ')
      .trim();
    // A surrogate alone, which the cut may leave as well, can't be in a URL.
    return Buffer.from(line).toString() || 'no reason was given';
  } catch {
    return UNREADABLE;
  }
}
