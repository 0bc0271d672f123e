import type { Context, Middleware, Next } from 'koa';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { errors } from '../oidc-provider.ts';
import { isWebOrigin } from '../tenant/applications.ts';
import type { Application } from '../tenant/tenant.ts';
import { webMessagePage } from './web-message-page.tsx';

const MODE = 'web_message';

/**
 * The response mode `web_message` ("OAuth 2.0 Web Message Response Mode", draft-sakimura): a page in
 * a hidden frame hands the answer to the single-page application that asks with `prompt=none`. Not
 * the engine's own page, whose script is in the page.
 *
 * @returns names the mode in the metadata.
 */
export function answerByWebMessage(provider: Provider): Middleware {
  provider.registerResponseMode(MODE, (ctx, redirectUri, response) => {
    // Checked before: one of the application's callbacks. Nobody else may read the message.
    const { origin } = new URL(redirectUri);
    ctx.remove('x-frame-options');
    const policy = ctx.response.get('content-security-policy');
    ctx.set(
      'content-security-policy',
      policy.replace("frame-ancestors 'none'", `frame-ancestors ${origin}`),
    );
    ctx.status = 200;
    ctx.type = 'html';
    ctx.body = webMessagePage({ response, origin });
  });
  return async function webMessageNamed(ctx: Context, next: Next) {
    await next();
    const { response_modes_supported: modes } = (ctx.body ?? {}) as Record<string, unknown>;
    if (ctx.path.startsWith('/.well-known/') && Array.isArray(modes)) modes.push(MODE);
  };
}

/**
 * @throws InvalidRequest, in Auth0's words and answered by a page, when the answer would go to an
 *   origin that is not among the application's web origins.
 */
export function checkWebMessageOrigin(
  application: Application | undefined,
  { params }: KoaContextWithOIDC['oidc'],
): void {
  if (params?.response_mode !== MODE) return;
  const callback = String(params.redirect_uri ?? '');
  const origin = URL.canParse(callback) ? new URL(callback).origin : '';
  if (application !== undefined && isWebOrigin(application, origin)) return;
  const error = new errors.InvalidRequest(
    `The specified redirect_uri '${callback}' does not have a registered origin.`,
  );
  throw Object.assign(error, { allow_redirect: false });
}
