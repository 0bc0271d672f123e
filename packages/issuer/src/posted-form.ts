import type { IncomingMessage } from 'node:http';

const MAX_FORM_BYTES = 64 * 1024;

/** Request whose form is read, such as the context of Koa. */
export interface FormRequest {
  readonly req: IncomingMessage;
  /** Its `body` is what a parser has read. It is used only if the request was read already. */
  readonly request: object;
}

/**
 * Reads a posted form from a request, or from `ctx.request.body` if a body parser has read the request.
 * The connection stays usable for the answer.
 *
 * @param maxBytes default: 64 KiB
 * @returns a function that returns the value of a field; undefined when it is missing or comes twice, or
 *   when the request is no form or too large
 * @example
 * const field = await readForm(ctx);
 * const token = field('logout_token');
 */
export async function readForm(
  { req, request }: FormRequest,
  maxBytes = MAX_FORM_BYTES,
): Promise<(name: string) => string | undefined> {
  if (req.readableDidRead) return (name) => fieldOf((request as { body?: unknown }).body, name);
  const [type = ''] = (req.headers['content-type'] ?? '').split(';');
  const isForm = type.trim().toLowerCase() === 'application/x-www-form-urlencoded';
  const text = isForm ? await readText(req, maxBytes).catch(() => undefined) : undefined;
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

async function readText(request: IncomingMessage, maxBytes: number): Promise<string | undefined> {
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
