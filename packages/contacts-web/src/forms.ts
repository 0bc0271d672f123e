import { bodyParser } from '@koa/bodyparser';
import type { LoginParams } from '@koa-oauth/client';
import type { Middleware } from 'koa';

/** Parses the form of a request. An error without a status becomes a 400. */
export function readForm(): Middleware {
  return bodyParser({
    enableTypes: ['form'],
    formLimit: '64kb',
    onError(cause, ctx) {
      const { status = 400 } = cause as { status?: number };
      ctx.throw(status, 'the form cannot be read', { cause });
    },
  });
}

/** Returns a field of a parsed form. A missing or repeated field is empty. */
export function field(body: unknown, name: string): string {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  // Browsers send line ends as CR LF (WHATWG HTML, "constructing the entry list").
  return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '';
}

/** Returns the fields of a form that requests this sign-in. Each page with a form has its address. */
export function fieldsOfSignIn(
  { authorizationParams = {} }: LoginParams,
  returnTo: string,
): Record<string, string> {
  const { acr_values, max_age } = authorizationParams;
  return {
    ...(acr_values !== undefined && { acr_values }),
    ...(max_age !== undefined && { max_age: String(max_age) }),
    returnTo,
  };
}

/** Returns the sign-in that such a form requests, or undefined when its fields are wrong. */
export function signInOfFields(body: unknown): LoginParams | undefined {
  const [acr, age] = [field(body, 'acr_values'), field(body, 'max_age')];
  if (!/^[\x20-\x7e]{0,512}$/.test(acr) || !/^\d{0,10}$/.test(age)) return undefined;
  const authorizationParams = {
    ...(acr && { acr_values: acr }),
    ...(age && { max_age: Number(age) }),
  };
  return { authorizationParams, scope: '', returnTo: field(body, 'returnTo') };
}
