import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Interaction, InteractionResults, Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import { readForm } from '../http/body.ts';
import { interactionOf, resumeInteraction, sessionNotFound } from '../http/current-interaction.ts';
import type { LoginAttempts } from '../http/limits.ts';
import {
  connectionInId,
  isFederated,
  offeredConnections,
  offersPasswords,
  passwordDatabase,
} from '../tenant/connections.ts';
import { isPassword } from '../tenant/password.ts';
import { findApplication, type Tenant, type User } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';
import { consentPage } from './consent-page.tsx';
import type { Consents } from './consents.ts';
import type { SendToProvider } from './federation.ts';
import { type AskedScopes, askedScopes, consentKey, newGrant } from './grants.ts';
import { loginPage } from './login-page.tsx';

interface InteractionParts {
  readonly provider: Provider;
  readonly tenant: Tenant;
  readonly users: Users;
  readonly consents: Consents;
  readonly attempts: LoginAttempts;
  readonly sendToProvider: SendToProvider;
  readonly log: Logger;
}

/**
 * The pages between an authorization request and its answer. An unknown or ended interaction makes
 * the engine throw SessionNotFound.
 */
export function routeInteractions(router: Router, parts: InteractionParts): void {
  const { provider, tenant, users, consents, attempts, sendToProvider, log } = parts;
  // One password at a time: of many right ones at once none must count against another, and a
  // hash takes much memory.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(check: () => Promise<T>): Promise<T> => {
    const mine = turn.then(check);
    turn = mine.catch(() => {});
    return mine;
  };

  router.get('/u/login/:uid', async (ctx) => {
    const interaction = await interactionOf(provider, ctx, 'login');
    const federated = tenant.connections.find(
      (one) => isFederated(one) && one.name === interaction.params.connection,
    );
    if (federated !== undefined) {
      await sendToProvider(ctx, interaction, federated.name);
      return;
    }
    showLogin(ctx, interaction, { typed: String(interaction.params.login_hint ?? '') });
  });

  router.post('/u/login/:uid', async (ctx) => {
    const interaction = await interactionOf(provider, ctx, 'login');
    const { username, password } = await fields(ctx);
    if (!takesPassword(interaction)) throw sessionNotFound();
    const client = interaction.params.client_id;
    const { wait, user, type } = await inTurn(async () => {
      const wait = await attempts.count(username, ctx.ip);
      const found = wait === undefined ? findByLogin(tenant, username) : undefined;
      if (found === undefined) return { wait, type: wait === undefined ? 'fu' : 'limit_wc' };
      if (!(await isPassword(found, password))) return { type: 'fp' };
      await attempts.forget(username, ctx.ip);
      return { user: found };
    });
    // Auth0's log event type code, for the record of transactions.
    ctx.state.loginFailure = type;
    if (wait !== undefined) {
      log.warn({ type, client }, 'login refused: too many failures');
      const fault = `Too many failed sign-ins. Wait ${wait} seconds, then try again.`;
      showLogin(ctx, interaction, { typed: username, fault });
      ctx.set('Retry-After', String(wait));
      ctx.status = 429;
      return;
    }
    if (user === undefined) {
      log.info({ type, client }, 'login failed: wrong e-mail address or password');
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

  router.post('/u/consent/:uid', async (ctx) => {
    const asked = await consentOf(ctx);
    const { action } = await fields(ctx);
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
    const passwords = takesPassword(interaction);
    ctx.type = 'html';
    ctx.body = loginPage({
      tenantName: tenant.tenant.friendly_name,
      applicationName: application?.name ?? '',
      uid: interaction.uid,
      passwords,
      // A connection that was asked for is the only one.
      connections: interaction.params.connection ? [] : offeredConnections(tenant, application),
      users: passwords
        ? tenant.users.filter((one) => !one.blocked && one.password !== undefined)
        : [],
      typed,
      fault,
    });
  }

  function takesPassword({ params }: Interaction): boolean {
    const { connection, client_id: clientId } = params;
    if (connection && connection !== passwordDatabase(tenant).name) return false;
    return offersPasswords(tenant, findApplication(tenant, String(clientId)));
  }

  async function consentOf(ctx: Context): Promise<AskedScopes> {
    const { params, session } = await interactionOf(provider, ctx, 'consent');
    const asked = askedScopes(tenant, users.find(session?.accountId ?? ''), params);
    if (asked === undefined) throw sessionNotFound();
    return asked;
  }

  function resume(ctx: Context, result: InteractionResults): Promise<void> {
    return resumeInteraction(provider, ctx, result);
  }
}

async function fields(ctx: Context): Promise<Record<'username' | 'password' | 'action', string>> {
  const form = await readForm(ctx);
  const field = (name: string): string => (typeof form[name] === 'string' ? form[name] : '');
  return {
    username: field('username').trim(),
    password: field('password'),
    action: field('action'),
  };
}

function findByLogin(tenant: Tenant, login: string): User | undefined {
  return tenant.users.find(
    ({ user_id, email }) =>
      connectionInId(user_id) === undefined && email.toLowerCase() === login.toLowerCase(),
  );
}
