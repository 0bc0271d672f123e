import type { Middleware } from 'koa';
import { signedInUser } from '../signed-in-user.ts';
import { HomePage } from '../views/home.tsx';
import { render } from '../views/render.tsx';

/** `GET /`: what this is, for everyone; a greeting for who is signed in. */
export function homeRoute(places: { issuerBaseURL: string; apiBaseURL: string }): Middleware {
  return async function home(ctx) {
    render(ctx, HomePage({ user: signedInUser(ctx), ...places }));
  };
}
