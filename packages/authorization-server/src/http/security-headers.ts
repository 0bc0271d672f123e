import type { Middleware } from 'koa';
import helmet from 'koa-helmet';

/**
 * For every answer: nothing but this server's own stylesheet and images, no framing, no referrer,
 * and no copy kept.
 */
export function securityHeaders(): Middleware {
  const protect = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
        imgSrc: ["'self'", 'data:'],
        styleSrc: ["'self'"],
        // No page here has a script; the engine's form_post answer adds the hash of its own.
        scriptSrc: ["'self'"],
        // No form-action: Chromium applies it to the redirects after a form as well, and the login
        // form ends, redirect by redirect, at the application's callback on another origin.
      },
    },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
    // On a loopback address http is right, and a rule kept by the browser would outlive the test.
    strictTransportSecurity: false,
    // Would forbid web applications to read the metadata, the keys and the token endpoint.
    crossOriginResourcePolicy: false,
  }) as Middleware;
  return async function headers(ctx, next) {
    ctx.set('cache-control', 'no-store');
    await protect(ctx, next);
  };
}
