import type { Middleware } from 'koa';
import helmet from 'koa-helmet';

/**
 * A strict Content-Security-Policy, without an inline script or style or another host, and what
 * else keeps a page from being framed, sniffed or cached.
 *
 * @param issuerBaseURL where signing out leads: browsers hold a form's redirects, too, against
 *   `form-action`
 */
export function securityHeaders({
  baseURL,
  issuerBaseURL,
}: {
  baseURL: string;
  issuerBaseURL: string;
}): Middleware {
  const policy = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        // The style sheet draws the small icons of form fields from data: URLs.
        imgSrc: ["'self'", 'data:'],
        formAction: ["'self'", new URL(issuerBaseURL).origin],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    strictTransportSecurity: baseURL.startsWith('https:'),
    xFrameOptions: { action: 'deny' },
    referrerPolicy: { policy: 'same-origin' },
  });
  return async function securityHeaders(ctx, next) {
    // Every page may show who is signed in; what may be kept says so itself.
    ctx.set('Cache-Control', 'no-store');
    await policy(ctx, next);
  };
}
