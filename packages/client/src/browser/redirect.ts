import { hash } from 'node:crypto';
import { parseURL } from '@koa-oauth/issuer';
import type { Context } from 'koa';

/** Maximum for a path to return to. It is stored in an encrypted cookie: browsers accept 4096 bytes. */
export const MAX_PATH_LENGTH = 2000;
// A browser drops tab, CR and LF from a URL and reads "\" as "/", so "/\t/host" leaves the origin.
const UNSAFE = /[\p{Cc}\p{Cf}\s\\]/u;

/**
 * Turns an untrusted value into a path of the app to return to. If `baseURL` has a path, a value that does
 * not begin with this path is put below it.
 *
 * @param value only an absolute path, with or without query, is accepted
 * @param baseURL address of the app
 * @returns path, query and fragment, which begin with exactly one slash; the start page of the app for any
 *   other value, and for one of more than 2000 bytes
 * @example
 * ctx.redirect(safeReturnTo(ctx.query.returnTo, 'https://app.example.com'));
 */
export function safeReturnTo(value: unknown, baseURL: string): string {
  const base = new URL(baseURL);
  const prefix = pathPrefix(baseURL);
  const start = `${prefix}/`;
  if (typeof value !== 'string' || value.length > MAX_PATH_LENGTH) return start;
  if (!/^\/(?!\/)/.test(value) || UNSAFE.test(value)) return start;
  const url = parseURL(value, base);
  // "/.//host" has the path "//host" once its dots are resolved: a URL of another origin.
  if (url?.origin !== base.origin || url.pathname.startsWith('//')) return start;
  const isBelow = `${url.pathname}/`.startsWith(start);
  const path = (isBelow ? '' : prefix) + url.pathname + url.search + url.hash;
  return path.length <= MAX_PATH_LENGTH ? path : start;
}

/**
 * Returns the path of a request without the path of `baseURL`, which a proxy or a mount may have removed
 * already.
 */
export function pathBelow(baseURL: string, path: string): string {
  const prefix = pathPrefix(baseURL);
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}

/** Returns the path of a URL without a slash at its end. */
function pathPrefix(url: string): string {
  return new URL(url).pathname.replace(/\/$/, '');
}

/**
 * Answers a request with a redirect that is neither cached nor sent in a `Referer`. A form is redirected to
 * another origin by a page: some browsers apply the `form-action` of the form's page to redirects too (CSP
 * Level 3 §6.4.2.1), and `'self'` would stop a redirect to the issuer.
 */
export function redirect(ctx: Context, url: string, baseURL: string): void {
  const isForm = ctx.method !== 'GET' && ctx.method !== 'HEAD';
  ctx.set({ 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' });
  if (isForm && ctx.get('Sec-Fetch-Mode') === 'navigate' && isOtherOrigin(url, baseURL)) {
    ctx.status = 200;
    ctx.type = 'html';
    ctx.body = redirectPage(url);
    return;
  }
  // RFC 9700 §4.12: never 307, which would send a form's fields along.
  ctx.status = isForm ? 303 : 302;
  ctx.redirect(url);
}

function isOtherOrigin(url: string, baseURL: string): boolean {
  return new URL(url, baseURL).origin !== new URL(baseURL).origin;
}

function redirectPage(url: string): string {
  const href = escapeHTML(new URL(url).href);
  return htmlPage(`<meta http-equiv="refresh" content="0;url=${href}">
<p><a href="${href}">Continue</a>`);
}

const SUBMIT = 'document.forms[0].submit()';
const SUBMIT_HASH = hash('sha256', SUBMIT, 'base64');

/**
 * Answers a request with a page that posts a form to another origin: at once, or by a button if scripts are
 * off.
 */
export function sendForm(
  ctx: Context,
  action: string,
  fields: Readonly<Record<string, string>>,
): void {
  // No form-action: it would apply to the redirects of the other origin too.
  const policy = `default-src 'none'; script-src 'sha256-${SUBMIT_HASH}'; base-uri 'none'; frame-ancestors 'none'`;
  ctx.set({
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'Content-Security-Policy': policy,
  });
  const inputs = Object.entries(fields).map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${escapeHTML(value)}">`,
  );
  ctx.status = 200;
  ctx.type = 'html';
  ctx.body = htmlPage(`<form method="post" action="${escapeHTML(action)}">
${inputs.join('\n')}
<button>Continue</button>
</form>
<script>${SUBMIT}</script>`);
}

function htmlPage(content: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Continue</title>
${content}
</html>
`;
}

function escapeHTML(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}
