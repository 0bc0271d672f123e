import { METHODS } from 'node:http';
import Router from '@koa/router';
import { signedInUser } from './signed-in-user.ts';
import { HomePage, LogoutPage } from './views/home.tsx';
import { render } from './views/layout.tsx';

/** Routes that need no sign-in. */
export function homeRoutes(parts: { issuerBaseURL: string; apiBaseURL: string }): Router {
  return (
    new Router({ methods: METHODS })
      .get('/', (ctx) => render(ctx, HomePage({ user: signedInUser(ctx), ...parts })))
      // The page shows a button, so that a link or an image on another site cannot sign a user out.
      .get('/logout', (ctx) => render(ctx, LogoutPage({ user: signedInUser(ctx) })))
  );
}

/** `GET /healthz`. It must precede everything that needs the issuer or the session store. */
export function healthRoutes(): Router {
  return new Router({ methods: METHODS, strict: true, sensitive: true }).get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' };
  });
}
