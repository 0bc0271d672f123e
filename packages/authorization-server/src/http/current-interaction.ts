import type { Context } from 'koa';
import type { Interaction, InteractionResults, Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import type { Tenant, User } from '../tenant/tenant.ts';

/** @throws SessionNotFound when the step of this page is unknown or has ended. */
export async function interactionOf(
  provider: Provider,
  ctx: Context,
  prompt: 'login' | 'actions' | 'consent',
): Promise<Interaction> {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  // The cookie decides, not the path: a consent form must not be answered by a login.
  if (interaction.uid !== ctx.params.uid || interaction.prompt.name !== prompt) {
    throw sessionNotFound();
  }
  return interaction;
}

export async function resumeInteraction(
  provider: Provider,
  ctx: Context,
  result: InteractionResults,
  options?: { readonly mergeWithLastSubmission: boolean },
): Promise<void> {
  const returnTo = await provider.interactionResult(ctx.req, ctx.res, result, options);
  ctx.status = 303;
  ctx.redirect(returnTo);
}

/** Ends a sign-in, which a blocked user can't. @param facts for the log. */
export async function endLogin(
  {
    provider,
    log,
    tenant,
  }: { readonly provider: Provider; readonly log: Logger; readonly tenant: Tenant },
  ctx: Context,
  { user_id: user, blocked }: User,
  { method, ...facts }: { readonly method: string; readonly [fact: string]: unknown },
): Promise<void> {
  // Without it, the cookie ends with the browser.
  const remember = tenant.tenant.session_cookie?.mode !== 'non-persistent';
  log.info({ ...facts, user }, blocked ? 'login failed: the user is blocked' : 'login succeeded');
  const result = blocked
    ? { error: 'unauthorized', error_description: 'user is blocked' }
    : { login: { accountId: user, amr: [method], remember } };
  await resumeInteraction(provider, ctx, result);
}

/** Returns an error like the engine's own, for the page "This sign-in has ended". */
export function sessionNotFound(): Error {
  return Object.assign(new Error('interaction session not found'), { name: 'SessionNotFound' });
}
