import type Router from '@koa/router';
import type { Provider } from 'oidc-provider';
import type { Logger } from 'pino';
import { findApplication, type Tenant } from '../tenant/tenant.ts';
import { errorPage } from '../views/error-page.tsx';
import { logoutDonePage } from '../views/logout-pages.tsx';
import { announceLogout } from './backchannel-logout.ts';

/**
 * Auth0's own logout, `GET /v2/logout`: ends the session without a question and goes on to
 * `returnTo`, which must be one of the application's allowed logout URLs, or, without a `client_id`,
 * one of the tenant's; without `returnTo`, to the first of them.
 */
export function routeLogout(
  router: Router,
  { provider, tenant, log }: { provider: Provider; tenant: Tenant; log: Logger },
): void {
  const tenantName = tenant.tenant.friendly_name;

  router.get('/v2/logout', async (ctx) => {
    const [clientId, returnTo] = [ctx.query.client_id, ctx.query.returnTo];
    const application =
      typeof clientId === 'string' ? findApplication(tenant, clientId) : undefined;
    const allowed = clientId
      ? (application?.allowed_logout_urls ?? [])
      : tenant.tenant.allowed_logout_urls;

    const client = application?.client_id;
    if (returnTo !== undefined && !allowed.includes(String(returnTo))) {
      log.info({ type: 'flo', client }, 'logout refused: returnTo is no allowed logout URL');
      ctx.status = 400;
      ctx.type = 'html';
      ctx.body = errorPage({
        tenantName,
        title: 'Logout URL mismatch',
        text: `The "returnTo" querystring parameter "${returnTo}" is not defined as a valid URL in "Allowed Logout URLs".`,
      });
      return;
    }

    const session = await provider.Session.get(ctx);
    const user = session.accountId;
    if (user !== undefined) {
      await announceLogout(provider, ctx, session);
      await session.destroy();
    }
    log.info({ type: 'slo', client, user }, 'logged out');
    ctx.state.loggedOut = { user };
    ctx.cookies.set(provider.cookieName('session'), null, { httpOnly: true, sameSite: 'lax' });
    const target = returnTo === undefined ? allowed[0] : String(returnTo);
    if (target === undefined) {
      ctx.type = 'html';
      ctx.body = logoutDonePage({ tenantName });
    } else ctx.redirect(target);
  });
}
