import { randomBytes } from 'node:crypto';
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Interaction, Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import { readForm } from '../http/body.ts';
import { interactionOf, resumeInteraction, sessionNotFound } from '../http/current-interaction.ts';
import type { ConnectionOutcome, Transactions } from '../log/transactions.ts';
import type { StateStore } from '../state/file.ts';
import { offeredConnections } from '../tenant/connections.ts';
import type { Connection } from '../tenant/schema.ts';
import { findApplication, type Tenant } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';
import { errorPage } from '../views/error-page.tsx';
import { CALLBACK_PATH, type IdentityProviders, type PendingSignIn } from './identity-providers.ts';
import { ProviderDenial, ProviderFailure } from './provider-failure.ts';

interface FederationParts {
  readonly provider: Provider;
  readonly tenant: Tenant;
  readonly users: Users;
  readonly store: StateStore;
  readonly identityProviders: IdentityProviders;
  readonly transactions: Transactions;
  readonly log: Logger;
}

/**
 * Sends the user of an interaction to an identity provider. The last time counts: what was left open
 * before must not pile up.
 */
export type SendToProvider = (
  ctx: Context,
  interaction: Interaction,
  connectionName: string,
) => Promise<void>;

interface Sent extends PendingSignIn {
  /** Of the interaction. */
  readonly uid: string;
  readonly connection: string;
}

interface Returned extends Sent {
  /** The query of the callback. */
  readonly response: string;
}

const SENT = 'FederationSent';
const RETURNED = 'FederationReturned';
const COOKIE = 'issuer_federation';
/** Seconds at the identity provider, and from the callback to the interaction. */
const AWAY = 600;
const HANDOVER = 60;

/**
 * Sign-in at another OpenID provider (OpenID Connect Core §3.1).
 *
 * The provider knows one callback, `/login/callback`, and the interaction's cookie goes to
 * `/u/login/ID` alone. So the callback itself judges nothing: it uses up the state, keeps the answer
 * here for a minute, and goes on to the interaction, with the key to the answer in a cookie of that
 * path. Only a browser with both cookies gets further: the one that began this interaction, and that
 * came back from the provider. A callback that someone else is lured to fails for want of the first,
 * and whoever lured them has not the second. No code is in a URL of ours, and none in a cookie.
 *
 * An answer of another provider is refused by `iss`, where it is sent (RFC 9207), and by the ID token's
 * issuer and nonce: the state says from which provider the answer has to be.
 */
export function routeFederation(router: Router, parts: FederationParts): SendToProvider {
  const { provider, tenant, users, store, identityProviders, transactions, log } = parts;
  const connectionOf = (interaction: Interaction, name: unknown): Connection => {
    const application = findApplication(tenant, String(interaction.params.client_id));
    const connection = offeredConnections(tenant, application).find((one) => one.name === name);
    const { connection: asked } = interaction.params;
    // Who was sent for one connection has no choice.
    if (connection === undefined || (asked && asked !== name)) throw sessionNotFound();
    return connection;
  };

  const note = (uid: string, name: string, outcome: ConnectionOutcome, reason?: string): void => {
    transactions.find(`uid:${uid}`)?.add({ step: 'connection', name, outcome, reason });
  };

  router.post('/u/login/:uid/connection', async (ctx) => {
    const interaction = await interactionOf(provider, ctx, 'login');
    const { connection } = await readForm(ctx);
    await send(ctx, interaction, String(connection));
  });

  router.get(`/${CALLBACK_PATH}`, (ctx) => {
    const { state } = ctx.query;
    const sent = typeof state === 'string' ? store.read(SENT, state)?.content : undefined;
    if (sent === undefined || !store.consume(SENT, String(state))) throw sessionNotFound();
    const { uid } = sent as unknown as Sent;
    const handle = randomBytes(32).toString('base64url');
    store.write(RETURNED, handle, { ...sent, response: ctx.querystring }, HANDOVER);
    setCookie(ctx, uid, handle);
    ctx.redirect(`/u/login/${uid}/callback`);
  });

  router.get('/u/login/:uid/callback', async (ctx) => {
    const interaction = await interactionOf(provider, ctx, 'login');
    const { connection: name, response, ...pending } = takeReturned(ctx, interaction);
    const connection = connectionOf(interaction, name);
    const facts = { client: interaction.params.client_id, connection: name };
    try {
      const { subject, profile } = await identityProviders.finish(connection, response, pending);
      const user = users.keep(connection, subject, profile);
      note(interaction.uid, name, 'returned');
      if (user.blocked) {
        log.info({ ...facts, user: user.user_id }, 'login failed: the user is blocked');
        const result = { error: 'unauthorized', error_description: 'user is blocked' };
        await resumeInteraction(provider, ctx, result);
        return;
      }
      log.info({ ...facts, user: user.user_id }, 'login succeeded');
      const login = { accountId: user.user_id, amr: ['federated'] };
      await resumeInteraction(provider, ctx, { login });
    } catch (error) {
      if (error instanceof ProviderFailure) return showFailure(ctx, interaction, connection, error);
      if (!(error instanceof ProviderDenial)) throw error;
      note(interaction.uid, name, 'denied');
      log.info(facts, 'login failed: the identity provider denied it');
      const result = { error: 'access_denied', error_description: error.message };
      await resumeInteraction(provider, ctx, result);
    }
  });

  const takeReturned = (ctx: Context, { uid }: Interaction): Returned => {
    const handle = ctx.cookies.get(COOKIE) ?? '';
    const returned = store.read(RETURNED, handle)?.content as unknown as Returned | undefined;
    if (returned?.uid !== uid || !store.consume(RETURNED, handle)) throw sessionNotFound();
    store.delete(RETURNED, handle);
    setCookie(ctx, uid, null);
    return returned;
  };

  const showFailure = (
    ctx: Context,
    { uid }: Interaction,
    { name, display_name: label = name }: Connection,
    failure: ProviderFailure,
  ): void => {
    const reference = randomBytes(6).toString('hex');
    const { status, message: reason } = failure;
    log.error({ err: failure, connection: name, reference }, 'the identity provider failed');
    note(uid, name, 'failed', reason);
    ctx.status = status;
    ctx.type = 'html';
    ctx.body = errorPage({
      tenantName: tenant.tenant.friendly_name,
      title: `${label} can’t sign you in now`,
      text:
        status === 503
          ? 'It could not be reached. Try again in a moment, or sign in another way.'
          : 'Its answer can’t be used. The reason is in the log of this server.',
      reference,
      back: { href: `/u/login/${uid}`, text: 'Back to the sign-in' },
    });
  };

  const send: SendToProvider = async (ctx, interaction, connectionName) => {
    const connection = connectionOf(interaction, connectionName);
    const { uid, params } = interaction;
    const { login_hint: loginHint, max_age: maxAge, prompt } = params;
    try {
      const { url, pending } = await identityProviders.begin(connection, {
        loginHint: typeof loginHint === 'string' ? loginHint.slice(0, 320) : undefined,
        again: typeof prompt === 'string' && prompt.split(' ').includes('login'),
        maxAge: maxAge === undefined ? undefined : Number(maxAge),
      });
      const earlier = store.readByUid(SENT, uid)?.content.state;
      if (typeof earlier === 'string') store.delete(SENT, earlier);
      const sent: Sent = { ...pending, uid, connection: connectionName };
      store.write(SENT, pending.state, sent, AWAY, { uid });
      note(uid, connectionName, 'sent');
      log.info({ client: params.client_id, connection: connectionName }, 'sent to connection');
      ctx.status = 303;
      ctx.redirect(url.href);
    } catch (error) {
      if (!(error instanceof ProviderFailure)) throw error;
      showFailure(ctx, interaction, connection, error);
    }
  };
  return send;
}

function setCookie(ctx: Context, uid: string, value: string | null): void {
  ctx.cookies.set(COOKIE, value, {
    path: `/u/login/${uid}`,
    httpOnly: true,
    sameSite: 'lax',
    ...(value !== null && { maxAge: HANDOVER * 1000 }),
  });
}
