import { bodyParser } from '@koa/bodyparser';
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Interaction, InteractionResults, Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import type { Consents } from './consents.ts';
import { type AskedScopes, askedScopes, consentKey, newGrant } from './grants.ts';
import { createLoginAttempts } from './login-attempts.ts';
import { isPassword } from './password.ts';
import { findApplication, type Tenant, type User } from './tenant.ts';
import { consentPage } from './views/consent-page.tsx';
import { loginPage } from './views/login-page.tsx';

interface InteractionParts {
  readonly provider: Provider;
  readonly tenant: Tenant;
  readonly consents: Consents;
  readonly log: Logger;
}

/**
 * The pages between an authorization request and its answer. An unknown or ended interaction makes
 * the engine throw SessionNotFound.
 */
export function routeInteractions(router: Router, parts: InteractionParts): void {
  const { provider, tenant, consents, log } = parts;
  const attempts = createLoginAttempts(tenant.attack_protection.brute_force_protection);
  // One password at a time: of many right ones at once none must count against another, and a
  // hash takes much memory.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(check: () => Promise<T>): Promise<T> => {
    const mine = turn.then(check);
    turn = mine.catch(() => {});
    return mine;
  };
  const form = bodyParser({
    enableTypes: ['form'],
    formLimit: '10kb',
    // However reading it fails, it is its sender's fault, unless the parser says otherwise.
    onError(cause, ctx) {
      const { status = 400 } = cause as { status?: number };
      ctx.throw(status, 'the form cannot be read', { cause });
    },
  });

  router.get('/u/login/:uid', async (ctx) => {
    const interaction = await interactionOf(provider, ctx, 'login');
    showLogin(ctx, interaction, { typed: String(interaction.params.login_hint ?? '') });
  });

  router.post('/u/login/:uid', form, async (ctx) => {
    const interaction = await interactionOf(provider, ctx, 'login');
    const { username, password } = fields(ctx);
    const client = interaction.params.client_id;
    const { wait, user } = await inTurn(async () => {
      const wait = attempts.begin(username, ctx.ip);
      const found = wait === undefined ? findByLogin(tenant, username) : undefined;
      if (found === undefined || !(await isPassword(found, password))) return { wait };
      attempts.succeed(username, ctx.ip);
      return { user: found };
    });
    if (wait !== undefined) {
      log.warn({ client }, 'login refused: too many failures');
      const fault = `Too many failed sign-ins. Wait ${wait} seconds, then try again.`;
      showLogin(ctx, interaction, { typed: username, fault });
      ctx.set('Retry-After', String(wait));
      ctx.status = 429;
      return;
    }
    if (user === undefined) {
      log.info({ client }, 'login failed: wrong e-mail address or password');
      showLogin(ctx, interaction, { typed: username, fault: 'Wrong e-mail address or password.' });
      ctx.status = 400;
    } else if (user.blocked) {
      log.info({ client, user: user.user_id }, 'login failed: the user is blocked');
      await resume(ctx, { error: 'unauthorized', error_description: 'user is blocked' });
    } else {
      log.info({ client, user: user.user_id }, 'login succeeded');
      await resume(ctx, { login: { accountId: user.user_id, amr: ['pwd'] } });
    }
  });

  router.get('/u/consent/:uid', async (ctx) => {
    const asked = await consentOf(ctx);
    ctx.type = 'html';
    ctx.body = consentPage({ tenantName: tenant.tenant.friendly_name, asked });
  });

  router.post('/u/consent/:uid', form, async (ctx) => {
    const asked = await consentOf(ctx);
    const { action } = fields(ctx);
    const client = asked.application.client_id;
    const accepted = action === 'accept';
    log.info({ client, user: asked.user.user_id, accepted }, 'consent answered');
    if (!accepted) {
      const error_description = 'User did not authorize the request';
      await resume(ctx, { error: 'access_denied', error_description });
      return;
    }
    consents.remember(consentKey(asked), [...asked.oidc, ...asked.allowed]);
    const grantId = await newGrant(provider, asked, () => true).save();
    await resume(ctx, { consent: { grantId } });
  });

  function showLogin(
    ctx: Context,
    interaction: Interaction,
    { typed, fault }: { typed: string; fault?: string },
  ): void {
    const application = findApplication(tenant, String(interaction.params.client_id));
    ctx.type = 'html';
    ctx.body = loginPage({
      tenantName: tenant.tenant.friendly_name,
      applicationName: application?.name ?? '',
      users: tenant.users.filter((user) => !user.blocked && user.password !== undefined),
      typed,
      fault,
    });
  }

  async function consentOf(ctx: Context): Promise<AskedScopes> {
    const { params, session } = await interactionOf(provider, ctx, 'consent');
    const asked = askedScopes(tenant, session?.accountId ?? '', params);
    if (asked === undefined) throw sessionNotFound();
    return asked;
  }

  async function resume(ctx: Context, result: InteractionResults): Promise<void> {
    const returnTo = await provider.interactionResult(ctx.req, ctx.res, result);
    ctx.status = 303;
    ctx.redirect(returnTo);
  }
}

async function interactionOf(
  provider: Provider,
  ctx: Context,
  prompt: 'login' | 'consent',
): Promise<Interaction> {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  // The cookie decides, not the path: a consent form must not be answered by a login.
  if (interaction.uid !== ctx.params.uid || interaction.prompt.name !== prompt) {
    throw sessionNotFound();
  }
  return interaction;
}

function sessionNotFound(): Error {
  return Object.assign(new Error('interaction session not found'), { name: 'SessionNotFound' });
}

function fields(ctx: Context): { username: string; password: string; action: string } {
  const body = (ctx.request.body ?? {}) as Record<string, unknown>;
  const field = (name: string): string => (typeof body[name] === 'string' ? body[name] : '');
  return {
    username: field('username').trim(),
    password: field('password'),
    action: field('action'),
  };
}

function findByLogin(tenant: Tenant, login: string): User | undefined {
  return tenant.users.find((user) => user.email.toLowerCase() === login.toLowerCase());
}
