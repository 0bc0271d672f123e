const SLOTS = 2 ** 16;

/**
 * Which tokens came before, roughly and in a fixed quarter of a MiB: a token has one slot, and the
 * next one that falls into it takes its place. Two tokens may pass for one another, so an answer may
 * decide whether to remember a token, and never whether to trust it.
 */
export class SeenTokens {
  readonly #marks = new Uint32Array(SLOTS);

  /** Whether the token was noted before. Notes it. */
  note(token: string): boolean {
    // From within its signature, whose bits are as good as drawn by chance.
    const bytes = Buffer.from(token.slice(-16, -5), 'base64url');
    const slot = bytes.readUInt16LE(0);
    const mark = bytes.readUInt32LE(2);
    const seen = this.#marks[slot] === mark;
    this.#marks[slot] = mark;
    return seen;
  }
}
