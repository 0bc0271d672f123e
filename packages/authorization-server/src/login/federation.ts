import { randomBytes } from 'node:crypto';
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
import type { ConnectionOutcome } from '../log/transactions.ts';
import type { Connection } from '../tenant/connection-schema.ts';
import { offeredConnections } from '../tenant/connections.ts';
import { findApplication } from '../tenant/tenant.ts';
import { showError } from '../views/error-page.tsx';
import {
  CALLBACK_PATH,
  IdentityProviders,
  type PendingSignIn,
  ProviderDenial,
  ProviderFailure,
} from './identity-providers.ts';

interface SentUser extends PendingSignIn {
  readonly uid: string;
  readonly connection: string;
}

interface ReturnedUser extends SentUser {
  /** Query of the callback. */
  readonly response: string;
}

const SENT = 'FederationSent';
const RETURNED = 'FederationReturned';
const COOKIE = 'issuer_federation';
/** Maximum time at the identity provider. */
const AWAY_SECONDS = 600;
/** Maximum time from the callback to the interaction. */
const HANDOVER_SECONDS = 60;

export function federationRoutes(federation: Federation): Router {
  return new Router()
    .post('/u/login/:uid/connection', (ctx) => federation.choose(ctx))
    .get(`/${CALLBACK_PATH}`, (ctx) => federation.acceptCallback(ctx))
    .get('/u/login/:uid/callback', (ctx) => federation.finish(ctx));
}

/**
 * Sign-in at another OpenID provider, which redirects to `/login/callback` (OpenID Connect Core §3.1).
 *
 * The interaction's cookie is for `/u/login/ID` only. So the callback uses up the state, stores the answer,
 * sets a second cookie with its key, and redirects there. Only the browser that began and that returned has
 * both cookies: a victim who is lured to a callback lacks the first, the attacker lacks the second.
 */
export class Federation {
  readonly #context: PageContext;
  readonly #identityProviders: IdentityProviders;

  constructor(context: PageContext) {
    this.#context = context;
    this.#identityProviders = new IdentityProviders(context);
  }

  async choose(ctx: Context): Promise<void> {
    const interaction = await interactionOf(this.#context.provider, ctx, 'login');
    const { connection } = await readForm(ctx);
    await this.send(ctx, interaction, String(connection));
  }

  /** Sends the user to an identity provider. An earlier unfinished sign-in of the same interaction ends. */
  async send(ctx: Context, interaction: Interaction, connectionName: string): Promise<void> {
    const connection = this.#connectionOf(interaction, connectionName);
    const { uid, params } = interaction;
    const { login_hint: loginHint, max_age: maxAge, prompt } = params;
    try {
      const { url, pending } = await this.#identityProviders.begin(connection, {
        loginHint: typeof loginHint === 'string' ? loginHint.slice(0, 320) : undefined,
        reauthenticate: typeof prompt === 'string' && prompt.split(' ').includes('login'),
        maxAge: maxAge === undefined ? undefined : Number(maxAge),
      });
      const earlier = this.#context.store.readByUid(SENT, uid)?.content.state;
      if (typeof earlier === 'string') this.#context.store.delete(SENT, earlier);
      const sent: SentUser = { ...pending, uid, connection: connectionName };
      this.#context.store.write(SENT, pending.state, sent, AWAY_SECONDS, { uid });
      this.#addStep(uid, connectionName, 'sent');
      const facts = { client: params.client_id, connection: connectionName };
      this.#context.log.info(facts, 'sent to connection');
      ctx.status = 303;
      ctx.redirect(url.href);
    } catch (error) {
      if (!(error instanceof ProviderFailure)) throw error;
      this.#showFailure(ctx, interaction, connection, error);
    }
  }

  /** Stores an identity provider's answer and redirects to the interaction that waits for it. */
  acceptCallback(ctx: Context): void {
    const { store } = this.#context;
    const state = String(ctx.query.state);
    const sent = store.read(SENT, state)?.content;
    if (sent === undefined || !store.consume(SENT, state)) throw sessionNotFound();
    const { uid } = sent as unknown as SentUser;
    const handle = randomBytes(32).toString('base64url');
    store.write(RETURNED, handle, { ...sent, response: ctx.querystring }, HANDOVER_SECONDS);
    setCookie(ctx, uid, handle);
    ctx.redirect(`/u/login/${uid}/callback`);
  }

  async finish(ctx: Context): Promise<void> {
    const { provider, users } = this.#context;
    const interaction = await interactionOf(provider, ctx, 'login');
    const { connection: name, response, ...pending } = this.#consumeReturned(ctx, interaction);
    const connection = this.#connectionOf(interaction, name);
    const facts = { client: interaction.params.client_id, connection: name };
    try {
      const identity = await this.#identityProviders.finish(connection, response, pending);
      const user = users.storeProfile(connection, identity.subject, identity.profile);
      this.#addStep(interaction.uid, name, 'returned');
      await endLogin(this.#context, ctx, user, { method: 'federated', ...facts });
    } catch (error) {
      if (error instanceof ProviderFailure) {
        this.#showFailure(ctx, interaction, connection, error);
        return;
      }
      if (!(error instanceof ProviderDenial)) throw error;
      this.#addStep(interaction.uid, name, 'denied');
      this.#context.log.info(facts, 'login failed: the identity provider denied it');
      const result = { error: 'access_denied', error_description: error.message };
      await resumeInteraction(provider, ctx, result);
    }
  }

  /** @throws SessionNotFound for a browser without the cookie of the callback. */
  #consumeReturned(ctx: Context, { uid }: Interaction): ReturnedUser {
    const handle = ctx.cookies.get(COOKIE) ?? '';
    const content = this.#context.store.read(RETURNED, handle)?.content;
    const returned = content as unknown as ReturnedUser | undefined;
    if (returned?.uid !== uid || !this.#context.store.consume(RETURNED, handle))
      throw sessionNotFound();
    this.#context.store.delete(RETURNED, handle);
    setCookie(ctx, uid, null);
    return returned;
  }

  #connectionOf({ params }: Interaction, name: unknown): Connection {
    const { tenant } = this.#context;
    const application = findApplication(tenant, params.client_id);
    const connection = offeredConnections(tenant, application).find((one) => one.name === name);
    // A request that names a connection leaves no choice.
    if (connection === undefined || (params.connection && params.connection !== name)) {
      throw sessionNotFound();
    }
    return connection;
  }

  #showFailure(
    ctx: Context,
    { uid }: Interaction,
    { name, display_name: label = name }: Connection,
    failure: ProviderFailure,
  ): void {
    const reference = randomBytes(6).toString('hex');
    const { status, message: reason } = failure;
    this.#context.log.error(
      { err: failure, connection: name, reference },
      'the identity provider failed',
    );
    this.#addStep(uid, name, 'failed', reason);
    const page = {
      tenantName: this.#context.tenantName,
      title: `${label} can’t sign you in now`,
      text:
        status === 503
          ? 'It could not be reached. Try again in a moment, or sign in another way.'
          : 'Its answer can’t be used. The reason is in the log of this server.',
      reference,
      back: { href: `/u/login/${uid}`, text: 'Back to the sign-in' },
    };
    showError(ctx, page, status);
  }

  #addStep(uid: string, name: string, outcome: ConnectionOutcome, reason?: string): void {
    const transaction = this.#context.transactions.find(`uid:${uid}`);
    transaction?.add({ step: 'connection', name, outcome, reason });
  }
}

function setCookie(ctx: Context, uid: string, value: string | null): void {
  ctx.cookies.set(COOKIE, value, {
    path: `/u/login/${uid}`,
    httpOnly: true,
    sameSite: 'lax',
    ...(value !== null && { maxAge: HANDOVER_SECONDS * 1000 }),
  });
}
