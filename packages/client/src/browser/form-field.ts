import type { Context } from 'koa';

/**
 * A field of a form that was posted, read from the request itself, or from what a body parser before
 * us made of it (`ctx.request.body`).
 *
 * @param maxLength bytes of the whole form
 * @returns undefined when it is not there, or there twice, or the request can't be read as a form
 */
export async function readFormField(
  ctx: Pick<Context, 'req' | 'request' | 'is'>,
  name: string,
  maxLength: number,
): Promise<string | undefined> {
  if (ctx.req.readableDidRead) return fieldOf((ctx.request as { body?: unknown }).body, name);
  if (!ctx.is('application/x-www-form-urlencoded')) return undefined;
  const body = await read(ctx.req, maxLength).catch(() => undefined);
  const values = new URLSearchParams(body).getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

function fieldOf(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value = (body as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

async function read(request: Context['req'], maxLength: number): Promise<string | undefined> {
  if (Number(request.headers['content-length']) > maxLength) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxLength) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
