import type { Context } from 'koa';

const MAX_FORM_BYTES = 64 * 1024;

/**
 * Reads a posted form from the request, or from `ctx.request.body` if a body parser has read the request.
 *
 * @returns a function that returns the value of a field; undefined when it is missing or comes twice, or
 *   when the request can't be read as a form
 */
export async function readForm(
  ctx: Pick<Context, 'req' | 'request' | 'is'>,
  maxBytes = MAX_FORM_BYTES,
): Promise<(name: string) => string | undefined> {
  if (ctx.req.readableDidRead) {
    const { body } = ctx.request as { body?: unknown };
    return (name) => fieldOf(body, name);
  }
  const isForm = ctx.is('application/x-www-form-urlencoded');
  const text = isForm ? await readText(ctx.req, maxBytes).catch(() => undefined) : undefined;
  const fields = new URLSearchParams(text);
  return (name) => {
    const values = fields.getAll(name);
    return values.length === 1 ? values[0] : undefined;
  };
}

function fieldOf(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value = (body as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

async function readText(request: Context['req'], maxBytes: number): Promise<string | undefined> {
  if (Number(request.headers['content-length']) > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop must not close the connection: the answer needs it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
