import { hasCode } from '@koa-oauth/client';
import type { Context, Middleware } from 'koa';
import { field, readForm } from '../read-form.ts';
import { listApiRoutes } from '../session/api-routes.ts';
import { ATTEMPTS, isAttempt } from '../session/broken-tokens.ts';
import { tryApi } from '../session/try-api.ts';
import { takeApart } from '../session/unverified-token.ts';
import { signedInUser } from '../signed-in-user.ts';
import { render } from '../views/render.tsx';
import type { Outcome } from '../views/session/outcome.tsx';
import { SessionPage } from '../views/session/session.tsx';

interface SessionOptions {
  apiBaseURL: string;
  /** Whether tokens may be shown and played with: in development only. */
  showTokens: boolean;
}

/** `GET /session`: the flow that led to this session, its tokens, and the user's other sessions. */
export function sessionRoute(options: SessionOptions): Middleware {
  return async function session(ctx) {
    await show(ctx, options);
  };
}

/** `POST /session/refresh`: a new access token, for all scopes or for fewer. */
export function refreshRoute(options: SessionOptions): Middleware[] {
  async function refresh(ctx: Context): Promise<void> {
    const scope = field(ctx.request.body, 'scope');
    try {
      const token = await (scope ? ctx.oidc.accessToken({ scope }) : ctx.oidc.refresh());
      await show(ctx, options, {
        kind: 'refreshed',
        asked: token.requestedScope,
        granted: token.scope,
        isNarrow: scope !== '',
      });
    } catch (error) {
      if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) throw error;
      ctx.status = error.status;
      await show(ctx, options, { kind: 'not_granted', scope });
    }
  }
  return [readForm(), refresh];
}

/** `POST /session/try`: calls the API wrongly, and shows what it answers. */
export function tryRoute(options: SessionOptions): Middleware[] {
  async function attempt(ctx: Context): Promise<void> {
    const name = field(ctx.request.body, 'attempt');
    ctx.assert(options.showTokens && isAttempt(name), 404);
    const tokens = {
      accessToken: (await ctx.oidc.accessToken()).value,
      idToken: ctx.oidc.idToken ?? '',
    };
    const answer = await tryApi(options.apiBaseURL, name, tokens);
    await show(ctx, options, { kind: 'tried', attempt: ATTEMPTS[name], answer });
  }
  return [readForm(), attempt];
}

/** `POST /session/end`: ends another session of the user's, or all others. */
export function endSessionRoute(): Middleware[] {
  async function endSession(ctx: Context): Promise<void> {
    const id = field(ctx.request.body, 'id');
    const ended = id === 'others' ? await ctx.oidc.endOtherSessions() : await endOne(ctx, id);
    ctx.status = 303;
    ctx.redirect(`/session?ended=${Number(ended)}#sessions`);
  }
  return [readForm(), endSession];
}

async function endOne(ctx: Context, id: string): Promise<boolean> {
  return id !== '' && (await ctx.oidc.endSession(id));
}

async function show(ctx: Context, options: SessionOptions, outcome?: Outcome): Promise<void> {
  const { oidc } = ctx;
  const accessToken = await oidc.accessToken();
  const [routes, sessions] = await Promise.all([listApiRoutes(oidc.api), oidc.sessions()]);
  const { value, ...about } = accessToken;
  const { ended } = ctx.query;
  render(
    ctx,
    SessionPage({
      user: signedInUser(ctx),
      flow: oidc.flow,
      idToken: { header: {}, claims: oidc.idTokenClaims ?? {}, ...takeApart(oidc.idToken ?? '') },
      accessToken: { ...about, parts: takeApart(value) },
      raw: options.showTokens ? { idToken: oidc.idToken ?? '', accessToken: value } : undefined,
      routes,
      sessions,
      apiBaseURL: options.apiBaseURL,
      outcome:
        outcome ??
        (/^\d{1,4}$/.test(String(ended)) ? { kind: 'ended', count: Number(ended) } : undefined),
      now: Date.now(),
    }),
  );
}
