import { z } from 'zod';
import { invalidInput } from '../http/input.ts';
import type { Page, Position } from '../store/contact-store.ts';

const MAX_LIMIT = 100;
const LIMIT_FAULT = `must be a whole number from 1 to ${MAX_LIMIT}`;

export const PageQuery = z.strictObject({
  limit: z
    .string('must be given once')
    .regex(/^\d{1,3}$/, LIMIT_FAULT)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= MAX_LIMIT, LIMIT_FAULT)
    .default(50)
    .meta({ description: 'items on a page', type: 'integer', minimum: 1, maximum: MAX_LIMIT }),
  cursor: z
    .string('must be given once')
    .max(2000, 'must be the "next" of an earlier page')
    .optional()
    .meta({ description: 'the `next` of a page, to read the page after it' }),
});

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().meta({ description: 'cursor of the next page; null on the last' }),
  });
}

/** Writes the end of a page as a cursor, which a caller sends back to read the next page. */
export function writeCursor(sort: string, { value, id }: Position): string {
  return Buffer.from(JSON.stringify([sort, value, id])).toString('base64url');
}

/** @throws ApiError `ERR_INVALID_INPUT` (400), also for the cursor of another sort */
export function readCursor(sort: string, cursor: string | undefined): Position | undefined {
  if (cursor === undefined) return undefined;
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(parts) &&
      parts.length === 3 &&
      parts[0] === sort &&
      parts.every((part) => typeof part === 'string' && !/[\0\p{Cs}]/u.test(part))
    ) {
      return { value: parts[1], id: parts[2] };
    }
  } catch {}
  throw invalidInput(400, [
    { field: 'cursor', message: 'must be the "next" of an earlier page of the same sort' },
  ]);
}

/** Writes the body of a page, and the `Link` to the next page when there is one (RFC 8288). */
export function writePage<Item>(
  { items, next: position }: Page<Item>,
  sort: string,
  { path, querystring }: { readonly path: string; readonly querystring: string },
): { body: { items: readonly Item[]; next: string | null }; link: string | undefined } {
  if (!position) return { body: { items, next: null }, link: undefined };
  const next = writeCursor(sort, position);
  const parameters = new URLSearchParams(querystring);
  parameters.set('cursor', next);
  return { body: { items, next }, link: `<${path}?${parameters}>; rel="next"` };
}
