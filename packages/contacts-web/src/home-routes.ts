import { METHODS } from 'node:http';
import Router from '@koa/router';
import { signedInUser } from './signed-in-user.ts';
import { HomePage, LogoutPage } from './views/home.tsx';
import { render } from './views/layout.tsx';

/** What is there for everyone, signed in or not. */
export function homeRoutes(parts: { issuerBaseURL: string; apiBaseURL: string }): Router {
  return (
    new Router({ methods: METHODS })
      .get('/', (ctx) => render(ctx, HomePage({ user: signedInUser(ctx), ...parts })))
      // A button: a link or an image elsewhere can't sign anyone out.
      .get('/logout', (ctx) => render(ctx, LogoutPage({ user: signedInUser(ctx) })))
  );
}

/** `GET /healthz`: the process is up. Stands before what needs the issuer or the session store. */
export function healthRoutes(): Router {
  return new Router({ methods: METHODS, strict: true, sensitive: true }).get('/healthz', (ctx) => {
    ctx.body = { status: 'ok' };
  });
}
