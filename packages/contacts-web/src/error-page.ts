import { STATUS_CODES } from 'node:http';
import { describeCause } from '@koa-oauth/service';
import type { Context, Middleware } from 'koa';
import { explainError } from './error-text.ts';
import { fieldsOfSignIn } from './forms.ts';
import { signedInUser } from './signed-in-user.ts';
import { ErrorPage } from './views/error.tsx';
import { render } from './views/layout.tsx';

interface Failure {
  readonly status?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly expose?: unknown;
  readonly detail?: unknown;
  readonly cause?: unknown;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Code from the authorization server (RFC 6749 §4.1.2.1), made safe by the client. */
  readonly error?: string;
  readonly errorDescription?: string;
}

/**
 * Answers an error with a page, and to a script with problem details (RFC 9457). Both have a reference
 * that is in the log, which also gets hidden details through `ctx.state.failure`.
 */
export function errorPage(): Middleware {
  return async function errorPage(ctx, next) {
    try {
      await next();
      if (ctx.status >= 400 && ctx.body == null) answerError(ctx, { status: ctx.status });
    } catch (error) {
      const failure = (typeof error === 'object' && error !== null ? error : {}) as Failure;
      answerError(ctx, failure);
      const { code, detail, expose, cause } = failure;
      const unexpected = expose === true ? undefined : error;
      ctx.state.failure = { code, detail, cause: describeCause(cause), err: unexpected };
    }
  };
}

function answerError(ctx: Context, failure: Failure): void {
  const { status: given } = failure;
  const isError = typeof given === 'number' && given >= 400 && given in STATUS_CODES;
  const status = isError ? given : 500;
  const code = typeof failure.code === 'string' && failure.expose === true ? failure.code : '';
  const reference = String(ctx.state.requestId);
  if (failure.headers) ctx.set({ ...failure.headers });
  ctx.set('Cache-Control', 'no-store');
  ctx.status = status;

  if (isFromScript(ctx)) {
    const title = STATUS_CODES[status];
    const detail = failure.expose === true ? failure.message : undefined;
    ctx.body = JSON.stringify({ type: 'about:blank', title, status, detail, code, reference });
    ctx.type = 'application/problem+json';
    return;
  }
  const { error, errorDescription } = failure;
  const isRefusal = /^ERR_AUTHORIZATION_(?:REFUSED|UNAVAILABLE)$/.test(code);
  const reason = isRefusal && error ? { error, errorDescription } : undefined;
  const isChange = ctx.method !== 'GET' && ctx.method !== 'HEAD';
  const user = signedInUser(ctx);
  const isSignedIn = user !== undefined;
  const signIn = code === 'ERR_STEP_UP_REQUIRED' ? ctx.oidc.stepUp(failure) : undefined;
  const signInFields = signIn && fieldsOfSignIn(signIn, ctx.originalUrl);
  // A form of a contact has the address of its page.
  const page = ctx.originalUrl.startsWith('/contacts/') ? ctx.originalUrl : undefined;
  const text = explainError({ status, code, isChange, reason, isSignedIn, signInFields, page });
  render(ctx, ErrorPage({ user, status, code, reference, ...text }));
}

function isFromScript(ctx: Context): boolean {
  // A WebView of Android sends the name of its app here, with each page.
  const isXHR = ctx.get('X-Requested-With').toLowerCase() === 'xmlhttprequest';
  if (ctx.get('Sec-Fetch-Dest') === 'empty' || isXHR) return true;
  return ctx.accepts('html', 'json') === 'json';
}
