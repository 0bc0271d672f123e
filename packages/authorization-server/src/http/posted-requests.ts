import { randomBytes } from 'node:crypto';
import type { Context, Middleware, Next } from 'koa';
import type { Provider } from 'oidc-provider';
import { endpointOf } from '../endpoints.ts';
import type { StateStore } from '../state/memory.ts';
import { BoundedAdapter } from '../state/store-adapter.ts';
import { readForm } from './body.ts';
import { sessionNotFound } from './current-interaction.ts';

/** Parameter that names a stored request. */
const POSTED = 'posted_request';
/** Time from the redirect to the request that follows it. */
const HANDOVER_SECONDS = 60;
/** Maximum of stored requests, each of at most 10 kB. */
const MAX_REQUESTS = 1000;

/**
 * Serves a posted form as the same request by GET (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2):
 * on http the engine accepts no other.
 *
 * The session's cookie is `SameSite=Lax`: a browser withholds it from another site's POST, and the user
 * would seem not to be signed in. Such a form is stored, and the redirect that follows brings the cookie.
 * Nothing of the form gets into a URL.
 */
export function postedRequests(
  { store, issuer }: { readonly store: StateStore; readonly issuer: string },
  provider: Provider,
): Middleware {
  const { origin } = new URL(issuer);
  const cookie = provider.cookieName('session');
  const requests = new BoundedAdapter('PostedRequest', store, MAX_REQUESTS);

  return async function postedRequests(ctx: Context, next: Next) {
    if (ctx.method === 'POST') {
      if (!ctx.is('urlencoded')) ctx.throw(415, 'send a form');
      const query = toQuery(await readForm(ctx));
      const sentFrom = ctx.get('origin');
      const isForeign = sentFrom !== '' && sentFrom !== origin;
      if (isForeign && ctx.cookies.get(cookie) === undefined) {
        const id = randomBytes(32).toString('base64url');
        await requests.upsert(id, { query }, HANDOVER_SECONDS, ctx.ip);
        ctx.state.forwarded = true;
        ctx.status = 303;
        ctx.redirect(`${endpointOf(ctx)}?${POSTED}=${id}`);
        return;
      }
      ctx.method = 'GET';
      ctx.querystring = query;
    } else if (POSTED in ctx.query) {
      const stored = await requests.find(String(ctx.query[POSTED]));
      if (stored === undefined) throw sessionNotFound();
      ctx.querystring = String(stored.query);
    }
    await next();
  };
}

function toQuery(form: Record<string, string | string[]>): string {
  const fields = Object.entries(form).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value]),
  );
  return new URLSearchParams(fields).toString();
}
