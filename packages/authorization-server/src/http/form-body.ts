import type { Context } from 'koa';
import { readBody } from './body.ts';

const MOST = 10_240;

/**
 * The fields of a form that a page posts; none when it is no form. A field that is there more than
 * once has a list as its value.
 *
 * @throws 4xx when it can't be read.
 */
export async function readForm(ctx: Context): Promise<Record<string, string | string[]>> {
  if (!ctx.is('urlencoded')) return {};
  const form = new URLSearchParams(await readBody(ctx, MOST));
  return Object.fromEntries(
    [...new Set(form.keys())].map((name) => {
      const [value = '', ...more] = form.getAll(name);
      return [name, more.length === 0 ? value : [value, ...more]];
    }),
  );
}
