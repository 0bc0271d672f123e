import type { Context } from 'koa';

/**
 * Reads the body of a request as text.
 *
 * @param maxBytes above which the body is rejected.
 * @throws 413 when it has more, 415 when it is compressed, 400 when it breaks off.
 */
export async function readBody(ctx: Context, maxBytes: number): Promise<string> {
  const { req } = ctx;
  if (!['', 'identity'].includes(ctx.get('content-encoding').toLowerCase())) {
    ctx.throw(415, 'send the body as it is, not compressed');
  }
  const tooLong = `the body has more than ${maxBytes} bytes`;
  if (Number(ctx.get('content-length')) > maxBytes) ctx.throw(413, tooLong);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // The connection is needed for the answer.
    for await (const chunk of req.iterator({ destroyOnReturn: false })) {
      length += (chunk as Buffer).length;
      if (length > maxBytes) break;
      chunks.push(chunk as Buffer);
    }
  } catch (cause) {
    ctx.throw(400, 'the body breaks off', { cause });
  }
  if (length > maxBytes) {
    // What is still to come must not hold up the connection.
    req.resume();
    ctx.throw(413, tooLong);
  }
  return Buffer.concat(chunks).toString();
}

/** Reads the members of a JSON object; none in an empty body. @throws as above, and 400 when it is none. */
export async function readJson(ctx: Context, maxBytes: number): Promise<Record<string, unknown>> {
  const text = await readBody(ctx, maxBytes);
  let content: unknown;
  if (text === '') return {};
  try {
    content = JSON.parse(text);
  } catch {
    // Its message would repeat a part of the body.
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    ctx.throw(400, 'the body is no JSON object');
  }
  return content as Record<string, unknown>;
}

const MAX_FORM_BYTES = 10_240;

/**
 * Reads the fields of a form that a page posts; none when it is no form. A field that is there more than
 * once has a list as its value.
 *
 * @throws 4xx when it can't be read.
 */
export async function readForm(ctx: Context): Promise<Record<string, string | string[]>> {
  if (!ctx.is('urlencoded')) return {};
  const form = new URLSearchParams(await readBody(ctx, MAX_FORM_BYTES));
  return Object.fromEntries(
    [...new Set(form.keys())].map((name) => {
      const [value = '', ...more] = form.getAll(name);
      return [name, more.length === 0 ? value : [value, ...more]];
    }),
  );
}
