import { parseURL } from '@koa-oauth/service';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { VNode } from 'preact';
import { errors } from '../oidc-provider.ts';
import { isWebOrigin } from '../tenant/applications.ts';
import type { Application } from '../tenant/tenant.ts';
import { showPage } from '../views/layout.tsx';

/** "OAuth 2.0 Web Message Response Mode" (draft-sakimura): a hidden frame sends the answer to its page. */
export const WEB_MESSAGE = 'web_message';

/** Registers the response mode: the engine's own page for it has an inline script. */
export function registerWebMessage(provider: Provider): void {
  provider.registerResponseMode(WEB_MESSAGE, (ctx, redirectUri, response) => {
    // The engine has checked that it is a callback of the application. Only its origin may read the message.
    const { origin } = new URL(redirectUri);
    ctx.remove('x-frame-options');
    const policy = ctx.response.get('content-security-policy');
    ctx.set(
      'content-security-policy',
      policy.replace("frame-ancestors 'none'", `frame-ancestors ${origin}`),
    );
    showPage(ctx, webMessagePage(response, origin), 200);
  });
}

/** @throws InvalidRequest in Auth0's words, for a page, unless the answer goes to one of the web origins. */
export function checkWebMessageOrigin(
  application: Application | undefined,
  { params }: KoaContextWithOIDC['oidc'],
): void {
  if (params?.response_mode !== WEB_MESSAGE) return;
  const callback = String(params.redirect_uri ?? '');
  const origin = parseURL(callback)?.origin ?? '';
  if (application !== undefined && isWebOrigin(application, origin)) return;
  const error = new errors.InvalidRequest(
    `The specified redirect_uri '${callback}' does not have a registered origin.`,
  );
  throw Object.assign(error, { allow_redirect: false });
}

/**
 * Accepts `response_type=id_token`, the default of express-openid-connect, if the answer is a form or a
 * message. With a fragment, the default at Auth0, the token would be in a URL.
 *
 * @throws InvalidRequest for a fragment.
 */
export function checkIdTokenMode({ params, responseMode }: KoaContextWithOIDC['oidc']): void {
  if (params?.response_type !== 'id_token' || responseMode !== 'fragment') return;
  throw new errors.InvalidRequest('response_type id_token needs response_mode form_post');
}

/** Empty page whose script sends the answer to this origin alone. */
function webMessagePage(response: object, origin: string): VNode {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <title>Answer</title>
      </head>
      <body>
        <script
          src="/assets/web-message.js"
          data-response={JSON.stringify(response)}
          data-origin={origin}
        />
      </body>
    </html>
  );
}
