import type { Context } from 'koa';

const MAX_BODY_BYTES = 10_240;

/** Answers with an error of OAuth (RFC 6749 §5.2). */
export function refuse(
  ctx: Pick<Context, 'status' | 'body'>,
  status: number,
  error: string,
  description: string,
): void {
  ctx.status = status;
  ctx.body = { error, error_description: description };
}

/** @throws 413 when the body is longer, 415 when it is compressed, 400 when it breaks off. */
export async function readBody(ctx: Context, maxBytes = MAX_BODY_BYTES): Promise<string> {
  const { req } = ctx;
  if (!['', 'identity'].includes(ctx.get('content-encoding').toLowerCase())) {
    ctx.throw(415, 'send the body as it is, not compressed');
  }
  const tooLong = `the body has more than ${maxBytes} bytes`;
  if (Number(ctx.get('content-length')) > maxBytes) ctx.throw(413, tooLong);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // The answer needs the connection. The server reads the rest.
    for await (const chunk of req.iterator({ destroyOnReturn: false })) {
      length += (chunk as Buffer).length;
      if (length > maxBytes) break;
      chunks.push(chunk as Buffer);
    }
  } catch (cause) {
    ctx.throw(400, 'the body breaks off', { cause });
  }
  if (length > maxBytes) ctx.throw(413, tooLong);
  return Buffer.concat(chunks).toString();
}

/** Reads a JSON object; an empty body has no members. @throws as `readBody`, and 400 for other JSON. */
export async function readJson(
  ctx: Context,
  maxBytes = MAX_BODY_BYTES,
): Promise<Record<string, unknown>> {
  const text = await readBody(ctx, maxBytes);
  if (text === '') return {};
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's message would repeat a part of the body.
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    ctx.throw(400, 'the body is no JSON object');
  }
  return content as Record<string, unknown>;
}

/** Reads a posted form; no fields when it is none. A repeated field has a list as its value. */
export async function readForm(ctx: Context): Promise<Record<string, string | string[]>> {
  if (!ctx.is('urlencoded')) return {};
  const fields = new Map<string, string | string[]>();
  for (const [name, value] of new URLSearchParams(await readBody(ctx))) {
    const earlier = fields.get(name);
    if (Array.isArray(earlier)) earlier.push(value);
    else fields.set(name, earlier === undefined ? value : [earlier, value]);
  }
  return Object.fromEntries(fields);
}
