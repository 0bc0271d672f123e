import { parseURL, readForm } from '@koa-oauth/issuer';
import type { Context } from 'koa';
import { redirect } from '../browser/redirect.ts';
import type { ClientContext } from '../client-context.ts';
import { OidcError } from '../errors.ts';
import type { LoginParams } from '../oidc-context.ts';

const PARAMETERS = ['iss', 'login_hint', 'target_link_uri'] as const;
/** A longer one might not fit into the cookie of the login. */
const MAX_HINT_LENGTH = 255;

/**
 * Redirects a POST by which another site begins a login (OpenID Connect Core §4) to the same address by
 * GET, with the parameters in the query. The browser sends cookies only with that GET (`SameSite=Lax`).
 *
 * @throws OidcError `ERR_CROSS_SITE` when the form names no issuer
 */
export async function redirectThirdPartyLogin(
  { options }: ClientContext,
  ctx: Context,
): Promise<void> {
  const field = await readForm(ctx);
  if (field('iss') === undefined) throw new OidcError('ERR_CROSS_SITE');
  const query = new URLSearchParams();
  for (const name of PARAMETERS) {
    const value = field(name);
    if (value !== undefined) query.set(name, value);
  }
  const { pathname } = new URL(options.baseURL + options.routes.login);
  redirect(ctx, `${pathname}?${query}`, options.baseURL);
}

/**
 * Reads the parameters of a login that the issuer or another site begins (OpenID Connect Core §4).
 *
 * @throws OidcError `ERR_ISSUER_MISMATCH`, `ERR_LOGIN_PARAMETERS`, or `ERR_CROSS_SITE` in a frame
 */
export async function readThirdPartyLogin(
  { options, issuer }: ClientContext,
  ctx: Context,
): Promise<LoginParams> {
  const { iss, login_hint, target_link_uri } = ctx.query;
  // §4: another site must not hide the login in a frame.
  if (/^(i?frame|embed|object)$/.test(ctx.get('Sec-Fetch-Dest'))) {
    throw new OidcError('ERR_CROSS_SITE', { detail: 'a sign-in begun by another site in a frame' });
  }
  if (iss !== (await issuer.metadata()).issuer) {
    throw new OidcError('ERR_ISSUER_MISMATCH', { detail: '"iss" of a sign-in begun elsewhere' });
  }
  const isHint = typeof login_hint === 'string' && login_hint.length <= MAX_HINT_LENGTH;
  if (login_hint !== undefined && !isHint) {
    const detail = `login_hint must come once, with at most ${MAX_HINT_LENGTH} characters`;
    throw new OidcError('ERR_LOGIN_PARAMETERS', { detail });
  }
  return {
    returnTo: pathOf(target_link_uri, options.baseURL),
    authorizationParams: { login_hint },
  };
}

/** Returns the path of an address, if it is one of the app. */
function pathOf(uri: unknown, baseURL: string): string | undefined {
  const url = parseURL(uri);
  if (url?.origin !== new URL(baseURL).origin) return undefined;
  return url.pathname + url.search + url.hash;
}
