import Router from '@koa/router';
import type { Context } from 'koa';
import type { Interaction } from 'oidc-provider';
import type { PageContext } from '../context.ts';
import { readForm } from '../http/body.ts';
import {
  endLogin,
  interactionOf,
  resumeInteraction,
  sessionNotFound,
} from '../http/current-interaction.ts';
import type { LogType } from '../log/transactions.ts';
import {
  databaseName,
  findIdentityProvider,
  offeredConnections,
  offersPasswords,
} from '../tenant/connections.ts';
import { findApplication, type User } from '../tenant/tenant.ts';
import { isPassword } from '../tenant/user-schema.ts';
import { hasAddress } from '../tenant/users.ts';
import { showPage } from '../views/layout.tsx';
import { consentPage } from './consent-page.tsx';
import type { Federation } from './federation.ts';
import { type AskedScopes, askedScopes, newGrant } from './grants.ts';
import { loginPage } from './login-page.tsx';

type InteractionContext = PageContext & { readonly federation: Federation };

interface PasswordCheck {
  /** Undefined when the sign-in failed. */
  readonly user?: User;
  readonly failure?: LogType;
  /** Seconds to wait after too many failures. */
  readonly wait?: number | undefined;
}

/** The pages between an authorization request and its answer: sign-in and consent. */
export function interactionRoutes(context: InteractionContext): Router {
  const pages = new InteractionPages(context);
  return new Router()
    .get('/u/login/:uid', (ctx) => pages.showLogin(ctx))
    .post('/u/login/:uid', (ctx) => pages.signIn(ctx))
    .get('/u/consent/:uid', (ctx) => pages.showConsent(ctx))
    .post('/u/consent/:uid', (ctx) => pages.answerConsent(ctx));
}

/** Pages of one interaction each; every method throws SessionNotFound if it is unknown or has ended. */
class InteractionPages {
  readonly #context: InteractionContext;
  #lastCheck: Promise<unknown> = Promise.resolve();

  constructor(context: InteractionContext) {
    this.#context = context;
  }

  /** Shows the sign-in, or sends the user to the identity provider that the request names. */
  async showLogin(ctx: Context): Promise<void> {
    const interaction = await interactionOf(this.#context.provider, ctx, 'login');
    const { connection, login_hint: hint } = interaction.params;
    const federated = findIdentityProvider(this.#context.tenant, connection);
    if (federated === undefined) this.#showForm(ctx, interaction, String(hint ?? ''));
    else await this.#context.federation.send(ctx, interaction, federated.name);
  }

  async signIn(ctx: Context): Promise<void> {
    const { log, provider } = this.#context;
    const interaction = await interactionOf(provider, ctx, 'login');
    const form = await readForm(ctx);
    const [username, password] = [textOf(form.username).trim(), textOf(form.password)];
    if (!this.#acceptsPassword(interaction)) throw sessionNotFound();
    const client = interaction.params.client_id;
    const check = await this.#checkInTurn(() => this.#checkPassword(username, password, ctx.ip));
    const { user, failure: type, wait } = check;
    // The record of transactions reads it.
    ctx.state.loginFailure = type;
    if (wait !== undefined) {
      log.warn({ type, client }, 'login refused: too many failures');
      const fault = `Too many failed sign-ins. Wait ${wait} seconds, then try again.`;
      this.#showForm(ctx, interaction, username, fault);
      ctx.set('Retry-After', String(wait));
      ctx.status = 429;
    } else if (user === undefined) {
      log.info({ type, client }, 'login failed: wrong e-mail address or password');
      this.#showForm(ctx, interaction, username, 'Wrong e-mail address or password.');
      ctx.status = 400;
    } else await endLogin(this.#context, ctx, user, { method: 'pwd', client });
  }

  async showConsent(ctx: Context): Promise<void> {
    showPage(ctx, consentPage(this.#context.tenantName, await this.#askedOf(ctx)));
  }

  async answerConsent(ctx: Context): Promise<void> {
    const { provider, consents, log } = this.#context;
    const asked = await this.#askedOf(ctx);
    const { action } = await readForm(ctx);
    if (action === 'switch') {
      await this.#switchAccount(ctx);
      return;
    }
    const client = asked.application.client_id;
    const accepted = action === 'accept';
    log.info({ client, user: asked.user.user_id, accepted }, 'consent answered');
    if (!accepted) {
      const error_description = 'User did not authorize the request';
      await resumeInteraction(provider, ctx, { error: 'access_denied', error_description });
      return;
    }
    consents.add(asked);
    const grantId = await newGrant(provider, asked, () => true).save();
    await resumeInteraction(provider, ctx, { consent: { grantId } });
  }

  /** Continues the same request with a sign-in. The session stays until then. */
  async #switchAccount(ctx: Context): Promise<void> {
    const { provider } = this.#context;
    const { query } = (await interactionOf(provider, ctx, 'consent')).lastSubmission ?? {};
    // Not merged with the earlier result: that contains the sign-in of this account.
    const options = { mergeWithLastSubmission: false };
    await resumeInteraction(provider, ctx, { switchAccount: true, query }, options);
  }

  /** Checks one password at a time: simultaneous correct ones are no failures, and a hash occupies a core. */
  #checkInTurn<T>(check: () => Promise<T>): Promise<T> {
    const result = this.#lastCheck.then(check);
    this.#lastCheck = result.catch(() => {});
    return result;
  }

  async #checkPassword(
    username: string,
    password: string,
    address: string,
  ): Promise<PasswordCheck> {
    const { attempts } = this.#context.limits;
    const wait = await attempts.count(username, address);
    if (wait !== undefined) return { failure: 'limit_wc', wait };
    const user = this.#context.tenant.users.find((one) => hasAddress(one, username));
    if (user === undefined) return { failure: 'fu' };
    if (!(await isPassword(user, password))) return { failure: 'fp' };
    await attempts.forget(username, address);
    return { user };
  }

  #showForm(ctx: Context, interaction: Interaction, typed: string, fault?: string): void {
    const { tenant, tenantName } = this.#context;
    const { params, uid } = interaction;
    const application = findApplication(tenant, params.client_id);
    const passwords = this.#acceptsPassword(interaction);
    const page = loginPage({
      tenantName,
      applicationName: application?.name ?? '',
      uid,
      passwords,
      // A requested connection leaves no choice.
      connections: params.connection ? [] : offeredConnections(tenant, application),
      users: passwords
        ? tenant.users.filter((one) => !one.blocked && one.password !== undefined)
        : [],
      typed,
      fault,
    });
    showPage(ctx, page);
  }

  #acceptsPassword({ params }: Interaction): boolean {
    const { tenant } = this.#context;
    const { connection, client_id: clientId } = params;
    if (connection && connection !== databaseName(tenant)) return false;
    return offersPasswords(tenant, findApplication(tenant, clientId));
  }

  async #askedOf(ctx: Context): Promise<AskedScopes> {
    const { params, session } = await interactionOf(this.#context.provider, ctx, 'consent');
    const user = this.#context.users.find(session?.accountId);
    const asked = askedScopes(this.#context.tenant, user, params);
    if (asked === undefined) throw sessionNotFound();
    return asked;
  }
}

/** Returns a field of a form; a missing or repeated one is empty. */
function textOf(field: unknown): string {
  return typeof field === 'string' ? field : '';
}
