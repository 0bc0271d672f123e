import { InvalidInput } from './errors.ts';
import type { Position } from './store/contact-store.ts';

const MAX_LENGTH = 2000;

/** Writes where a page ended, for the caller to hand back as it is. */
export function writeCursor({ name, id }: Position): string {
  return Buffer.from(JSON.stringify([name, id])).toString('base64url');
}

/** Reads what a caller handed back. @throws InvalidInput (400) */
export function readCursor(cursor: string): Position {
  try {
    if (cursor.length > MAX_LENGTH) throw new RangeError();
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(value) &&
      value.length === 2 &&
      value.every((part) => typeof part === 'string' && !part.includes('\0'))
    ) {
      return { name: value[0], id: value[1] };
    }
  } catch {}
  throw new InvalidInput(400, [
    { field: 'cursor', message: 'must be the "next" of an earlier page' },
  ]);
}
