import type { Context, Middleware, Next } from 'koa';
import type { Configuration } from 'oidc-provider';
import type { Logger } from 'pino';
import { refuse } from '../http/body.ts';
import { Layout, showPage } from './layout.tsx';

interface ErrorPageProps {
  readonly tenantName: string;
  readonly title: string;
  readonly text: string;
  /** The error code of the protocol, for a developer. */
  readonly code?: string | undefined;
  /** Reference of the failure in this server's log. */
  readonly reference?: string | undefined;
  readonly back?: { readonly href: string; readonly text: string } | undefined;
}

/** @param status default: the one that the context has. */
export function showError(
  ctx: Parameters<typeof showPage>[0],
  { tenantName, title, text, code, reference, back }: ErrorPageProps,
  status?: number,
): void {
  showPage(
    ctx,
    <Layout title={title} tenantName={tenantName} sign="!">
      <p class="error-text">{text}</p>
      {code && (
        <p class="error-code">
          <code>{code}</code>
        </p>
      )}
      {reference && (
        <p class="error-code">
          Reference <code>{reference}</code>
        </p>
      )}
      {back && (
        <p class="error-text">
          <a href={back.href}>{back.text}</a>
        </p>
      )}
    </Layout>,
    status,
  );
}

interface Explanation {
  readonly title: string;
  readonly text: string;
}

/** Texts for a developer, by the engine's error code; `%s` is the request's own value. */
const EXPLANATIONS: Readonly<Record<string, Explanation & { readonly param?: string }>> = {
  invalid_redirect_uri: {
    title: 'Callback URL mismatch',
    text: "%s is not in the list of allowed callback URLs. Add it to the application's callbacks in the tenant file, or correct the application.",
    param: 'redirect_uri',
  },
  invalid_client: {
    title: 'Unknown client',
    text: 'Unknown client: %s. No application of this tenant has this client_id.',
    param: 'client_id',
  },
  session_not_found: {
    title: 'This sign-in has ended',
    text: 'It took too long, was finished in another tab, or its cookie is missing. Go back to the application and sign in again.',
  },
};

/** Answers an authorization request that can't be answered at the application's callback. */
export function renderEngineError(tenantName: string): Configuration['renderError'] {
  return async (ctx, out, error) => {
    const code = error.name === 'SessionNotFound' ? 'session_not_found' : out.error;
    const broken = out.error === 'server_error';
    const { title, text, param } = EXPLANATIONS[code] ?? {
      title: broken ? 'Something went wrong here' : 'This request can’t be answered',
      text: out.error_description ?? 'The application sent a request that makes no sense.',
    };
    const value = param && ctx.oidc?.params?.[param];
    showError(ctx, {
      tenantName,
      title,
      text: text.replace('%s', () => String(value ?? 'What the request names')),
      code: broken ? undefined : out.error,
    });
  };
}

/** Answers 404 and errors thrown outside the engine; the reason is only in the log. */
export function answerErrors(tenantName: string, log: Logger): Middleware {
  const answer = (ctx: Context, status: number, { title, text }: Explanation): void => {
    if (ctx.accepts('json', 'html') === 'json') refuse(ctx, status, title, text);
    else showError(ctx, { tenantName, title, text }, status);
  };
  return async function answerErrors(ctx: Context, next: Next) {
    try {
      await next();
    } catch (error) {
      const { name, status, code } = error as { name?: string; status?: number; code?: unknown };
      if (name === 'SessionNotFound' && EXPLANATIONS.session_not_found) {
        answer(ctx, 400, EXPLANATIONS.session_not_found);
      } else if (status !== undefined && status >= 400 && status < 500) {
        answer(ctx, status, { title: 'Bad request', text: 'The request could not be read.' });
      } else if (String(code).startsWith('SQLITE_BUSY')) {
        const todo = 'end it, or give each server its own file';
        log.error({ path: ctx.path }, `another program has locked the state file: ${todo}`);
        const text = 'Another program has locked the state of this server.';
        ctx.set('Retry-After', '5');
        answer(ctx, 503, { title: 'Try again in a moment', text });
      } else {
        log.error({ err: error, path: ctx.path }, 'unexpected error');
        const text = 'The reason is in the log of this server.';
        answer(ctx, 500, { title: 'Something went wrong here', text });
      }
      return;
    }
    if (ctx.status === 404 && !ctx.body) {
      answer(ctx, 404, { title: 'Not found', text: 'There is no such page here.' });
    }
  };
}
