import type { EventEmitter } from 'node:events';
import Router from '@koa/router';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { VNode } from 'preact';
import type { PageContext } from '../context.ts';
import type { LogoutClient } from '../oidc-provider.ts';
import { allowedLogoutTarget, hasPlaceholder } from '../tenant/allowed-urls.ts';
import { findApplication, type Tenant } from '../tenant/tenant.ts';
import { showError } from '../views/error-page.tsx';
import { Layout, showPage } from '../views/layout.tsx';

type Session = NonNullable<KoaContextWithOIDC['oidc']['session']>;

interface LogoutSources {
  logoutSource: (ctx: KoaContextWithOIDC, form: string) => Promise<void>;
  postLogoutSuccessSource: (ctx: KoaContextWithOIDC) => void;
}

/** `GET /v2/logout`, Auth0's own: ends the session and redirects to an allowed URL, the first by default. */
export function logoutRoutes({ provider, tenant, tenantName, log }: PageContext): Router {
  return new Router().get('/v2/logout', async function logout(ctx) {
    const { client_id: clientId, returnTo } = ctx.query;
    const application = findApplication(tenant, clientId);
    const allowed = clientId
      ? (application?.allowed_logout_urls ?? [])
      : tenant.tenant.allowed_logout_urls;

    const client = application?.client_id;
    const [first] = allowed.filter((entry) => !hasPlaceholder(entry));
    const target = returnTo === undefined ? first : allowedLogoutTarget(allowed, String(returnTo));
    if (returnTo !== undefined && target === undefined) {
      log.info({ type: 'flo', client }, 'logout refused: returnTo is no allowed logout URL');
      const title = 'Logout URL mismatch';
      const text = `The "returnTo" querystring parameter "${returnTo}" is not defined as a valid URL in "Allowed Logout URLs".`;
      showError(ctx, { tenantName, title, text }, 400);
      return;
    }

    const session = await provider.Session.get(ctx);
    const user = session.accountId;
    if (user !== undefined) {
      // An application with a logout token must not get the user signed in again.
      await session.destroy();
      await announceLogout(provider, ctx, session);
    }
    log.info({ type: 'slo', client, user }, 'logged out');
    ctx.state.loggedOut = { user };
    ctx.cookies.set(provider.cookieName('session'), null, { httpOnly: true, sameSite: 'lax' });
    if (target === undefined) showPage(ctx, logoutDonePage(tenantName));
    else ctx.redirect(target);
  });
}

/**
 * `/oidc/logout` (OpenID Connect RP-Initiated Logout §2). As at Auth0, a hint of this session ends it without
 * confirmation. The engine could only ask with its form, so this function ends the session itself.
 */
export function logoutSources(tenant: Tenant): LogoutSources {
  const tenantName = tenant.tenant.friendly_name;
  return {
    async logoutSource(ctx, form) {
      const { session, params, provider } = ctx.oidc;
      const target = logoutTarget(tenant, ctx);
      const asks = tenant.tenant.sessions?.oidc_logout_prompt_enabled ?? true;
      if (asks && !isHinted(ctx)) {
        if (session !== undefined)
          Object.assign(session.state ?? {}, { postLogoutRedirectUri: target });
        showPage(ctx, logoutConfirmPage(tenantName, xsrfOf(form)));
        return;
      }
      await session?.destroy();
      if (session !== undefined) await announceLogout(provider, ctx, session);
      ctx.oidc.cookies.set(provider.cookieName('session'), null);
      const { state } = params ?? {};
      if (target === undefined) {
        showPage(ctx, logoutDonePage(tenantName));
        return;
      }
      const url = new URL(target);
      if (typeof state === 'string') url.searchParams.set('state', state);
      ctx.status = 303;
      ctx.redirect(url.href);
    },
    postLogoutSuccessSource(ctx) {
      showPage(ctx, logoutDonePage(tenantName));
    },
  };
}

/** Checks whether a hint names the session of this browser by its `sid`. */
function isHinted({ oidc }: KoaContextWithOIDC): boolean {
  const { session, client, params, entities } = oidc;
  const { sid = params?.logout_hint } = entities.IdTokenHint?.payload ?? {};
  const { authorizations = {} } = session ?? {};
  const own =
    client === undefined ? Object.values(authorizations) : [authorizations[client.clientId]];
  return sid !== undefined && own.some((one) => one?.sid === sid);
}

/** Returns the allowed target. The engine checks it only with a client; without one, the tenant's list counts. */
function logoutTarget({ tenant }: Tenant, { query, oidc }: KoaContextWithOIDC): string | undefined {
  const checked = oidc.params?.post_logout_redirect_uri;
  if (oidc.client !== undefined) return typeof checked === 'string' ? checked : undefined;
  const sent = String(query.post_logout_redirect_uri);
  return allowedLogoutTarget(tenant.allowed_logout_urls, sent, { compareQuery: true });
}

/** Sends logout tokens to the applications of the session; the engine does so only after its own form. */
async function announceLogout(provider: Provider, ctx: object, session: Session): Promise<void> {
  const { accountId, authorizations = {} } = session;
  const events: EventEmitter = provider;
  if (accountId === undefined) return;
  const announce = async (clientId: string): Promise<void> => {
    const client = (await provider.Client.find(clientId)) as LogoutClient | undefined;
    if (client?.backchannelLogoutUri === undefined) return;
    const sid = session.sidFor(clientId);
    try {
      await client.backchannelLogout(accountId, sid);
      events.emit('backchannel.success', ctx, client, accountId, sid);
    } catch (error) {
      events.emit('backchannel.error', ctx, error, client, accountId, sid);
    }
  };
  await Promise.all(Object.keys(authorizations).map(announce));
}

/** Returns the value that protects a form of the engine against forms of other sites. */
export function xsrfOf(form: string): string {
  return /name="xsrf" value="([^"]*)"/.exec(form)?.[1] ?? '';
}

/** Page that confirms a logout; it posts `xsrf` and `logout=yes` to `/oidc/logout/confirm`. */
function logoutConfirmPage(tenantName: string, xsrf: string): VNode {
  const lead = 'You will have to sign in again in every application of this tenant.';
  return (
    <Layout title="Sign out" tenantName={tenantName} heading="Sign out?" lead={lead}>
      <form method="post" action="/oidc/logout/confirm" class="answers">
        <input type="hidden" name="xsrf" value={xsrf} />
        <button type="submit" name="logout" value="yes">
          Sign out
        </button>
        <button type="submit" class="quiet">
          Stay signed in
        </button>
      </form>
    </Layout>
  );
}

function logoutDonePage(tenantName: string): VNode {
  return (
    <Layout
      title="Signed out"
      tenantName={tenantName}
      heading="You are signed out"
      lead="You can close this page."
    />
  );
}
