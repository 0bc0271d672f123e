import { METHODS } from 'node:http';
import Router from '@koa/router';
import { hasCode, requiresAuth } from '@koa-oauth/client';
import type { Context } from 'koa';
import { field, readForm } from '../forms.ts';
import { signedInUser } from '../signed-in-user.ts';
import { render } from '../views/layout.tsx';
import { listApiRoutes } from './api-routes.tsx';
import { ATTEMPTS, isAttempt, tryApi } from './attempts.ts';
import type { FlowLog } from './flow-log.ts';
import type { Outcome } from './outcome.tsx';
import { SessionPage } from './session-page.tsx';

interface SessionParts {
  readonly apiBaseURL: string;
  /** Shows tokens, and allows wrong calls: in development only. */
  readonly showTokens: boolean;
  /** Messages of the sign-ins, in development only. */
  readonly flowLog: FlowLog | undefined;
}

/** Routes of `/session`: the flow that led to this session, its tokens, and the sessions of the user. */
export function sessionRoutes(parts: SessionParts): Router {
  return new Router({ methods: METHODS })
    .use(requiresAuth())
    .get('/session', (ctx) => showSession(ctx, parts))
    .post('/session/refresh', readForm(), (ctx) => postRefresh(ctx, parts))
    .post('/session/try', readForm(), (ctx) => postTry(ctx, parts))
    .post('/session/end', readForm(), postEnd);
}

/** Refreshes the access token, for all scopes or for fewer. */
async function postRefresh(ctx: Context, parts: SessionParts): Promise<void> {
  const scope = field(ctx.request.body, 'scope');
  try {
    const token = await (scope ? ctx.oidc.accessToken({ scope }) : ctx.oidc.refresh());
    await showSession(ctx, parts, {
      kind: 'refreshed',
      asked: token.requestedScope,
      granted: token.scope,
      isNarrow: scope !== '',
    });
  } catch (error) {
    if (!hasCode(error, 'ERR_INSUFFICIENT_SCOPE')) throw error;
    ctx.status = error.status;
    await showSession(ctx, parts, { kind: 'not_granted', scope });
  }
}

/** Shows the API's answer to a wrong call. */
async function postTry(ctx: Context, parts: SessionParts): Promise<void> {
  const name = field(ctx.request.body, 'attempt');
  ctx.assert(parts.showTokens && isAttempt(name), 404);
  const { value: accessToken } = await ctx.oidc.accessToken();
  const { idToken = '', proofs } = ctx.oidc;
  const tokens = { accessToken, idToken, proofs };
  const answer = await tryApi(parts.apiBaseURL, name, tokens);
  await showSession(ctx, parts, { kind: 'tried', attempt: ATTEMPTS[name], answer });
}

/** Ends another session of the user, or all others. */
async function postEnd(ctx: Context): Promise<void> {
  const id = field(ctx.request.body, 'id');
  const ended = await (id === 'others' ? ctx.oidc.endOtherSessions() : ctx.oidc.endSession(id));
  ctx.status = 303;
  ctx.redirect(`/session?ended=${Number(ended)}#answer`);
}

async function showSession(ctx: Context, parts: SessionParts, outcome?: Outcome): Promise<void> {
  const { oidc } = ctx;
  const accessToken = await oidc.accessToken();
  const [routes, sessions, flow = []] = await Promise.all([
    listApiRoutes(oidc.api),
    oidc.sessions(),
    parts.flowLog?.read(oidc.loginId),
  ]);
  const { ended } = ctx.query;
  const isEnded = /^\d{1,4}$/.test(String(ended));
  render(
    ctx,
    SessionPage({
      ...parts,
      user: signedInUser(ctx),
      flow,
      idToken: oidc.idToken ?? '',
      idTokenClaims: oidc.idTokenClaims ?? {},
      accessToken,
      hasRefreshToken: oidc.hasRefreshToken,
      proofs: oidc.proofs,
      routes,
      sessions,
      outcome: outcome ?? (isEnded ? { kind: 'ended', count: Number(ended) } : undefined),
      now: Date.now(),
    }),
  );
}
