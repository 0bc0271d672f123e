import type { Context, Middleware } from 'koa';
import { isKnownScope } from '../permissions.ts';
import { field, readForm } from '../read-form.ts';

/**
 * `POST /permissions`: asks the authorization server for one scope more than the session has
 * (incremental consent), and comes back to where the user was.
 */
export function askForPermissionRoute(): Middleware[] {
  async function askForPermission(ctx: Context): Promise<void> {
    const { body } = ctx.request;
    const scope = field(body, 'scope');
    ctx.assert(isKnownScope(scope), 400, 'this app asks for no such scope');
    await ctx.oidc.login({ scope, returnTo: field(body, 'returnTo') });
  }
  return [readForm(), askForPermission];
}
