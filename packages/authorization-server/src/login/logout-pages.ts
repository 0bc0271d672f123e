import type { KoaContextWithOIDC } from 'oidc-provider';
import { logoutConfirmPage, logoutDonePage } from '../views/logout-pages.tsx';
import { announceLogout } from './backchannel-logout.ts';

interface LogoutPages {
  logoutSource: (ctx: KoaContextWithOIDC, form: string) => Promise<undefined>;
  postLogoutSuccessSource: (ctx: KoaContextWithOIDC) => Promise<undefined>;
}

/**
 * `/oidc/logout` (OpenID Connect RP-Initiated Logout §2): at once with an `id_token_hint`, or with
 * the session's `sid` as `logout_hint`, as at Auth0; the engine always shows a form, so here the
 * session ends before it is shown. Without a hint that fits the user is asked.
 */
export function createLogoutPages(tenantName: string): LogoutPages {
  return {
    async logoutSource(ctx, form) {
      const { session, params, entities, provider } = ctx.oidc;
      const { client_id: clientId, logout_hint: hint } = params ?? {};
      const isNamed =
        typeof clientId === 'string' &&
        typeof hint === 'string' &&
        session?.sidFor(clientId) === hint;
      if (entities.IdTokenHint === undefined && !isNamed) {
        const xsrf = /name="xsrf" value="([^"]*)"/.exec(form)?.[1] ?? '';
        ctx.body = logoutConfirmPage({ tenantName, xsrf });
        return undefined;
      }
      if (session !== undefined) await announceLogout(provider, ctx, session);
      await session?.destroy();
      ctx.oidc.cookies.set(provider.cookieName('session'), null);
      const { post_logout_redirect_uri: target, state } = params ?? {};
      if (typeof target !== 'string') {
        ctx.body = logoutDonePage({ tenantName });
        return undefined;
      }
      const url = new URL(target);
      if (typeof state === 'string') url.searchParams.set('state', state);
      ctx.status = 303;
      ctx.redirect(url.href);
      return undefined;
    },
    async postLogoutSuccessSource(ctx) {
      ctx.body = logoutDonePage({ tenantName });
      return undefined;
    },
  };
}
