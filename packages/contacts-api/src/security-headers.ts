import type { Middleware } from 'koa';
import helmet from 'koa-helmet';

const NOTHING = {
  defaultSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
};

/**
 * What keeps an answer from being framed, sniffed, kept, or run as a page. The one page there is,
 * `/docs`, may run its viewer and call this API.
 */
export function securityHeaders({ baseURL }: { baseURL: string }): Middleware {
  const policy = (directives: Record<string, string[]>) =>
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: { ...NOTHING, ...directives } },
      strictTransportSecurity: baseURL.startsWith('https:'),
      xFrameOptions: { action: 'deny' },
      referrerPolicy: { policy: 'no-referrer' },
    });
  const api = policy({});
  const docs = policy({
    scriptSrc: ["'self'"],
    // The viewer writes its styles into the page.
    styleSrc: ["'unsafe-inline'"],
    imgSrc: ['data:'],
    connectSrc: ["'self'"],
  });
  return async function securityHeaders(ctx, next) {
    ctx.set('Cache-Control', 'no-store');
    await (/^\/docs(?:\/|$)/.test(ctx.path) ? docs : api)(ctx, next);
  };
}
