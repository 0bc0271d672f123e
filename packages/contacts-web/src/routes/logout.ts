import type { Middleware } from 'koa';
import { signedInUser } from '../signed-in-user.ts';
import { LogoutPage } from '../views/logout.tsx';
import { render } from '../views/render.tsx';

/** `GET /logout`: a button. A link or an image elsewhere can't sign anyone out. */
export function logoutRoute(): Middleware {
  return async function logout(ctx) {
    render(ctx, LogoutPage({ user: signedInUser(ctx) }));
  };
}
