import type { AccessToken } from 'oidc-provider';
import { Provider } from './engine.ts';
import type { PostLogin } from './post-login.ts';
import { changeScope } from './scope-changes.ts';

/**
 * Lets the Actions and rules have the last word on an access token's scope. Its `save` is replaced
 * because that is where every kind of token comes by with its scope settled and not yet written; the
 * token response repeats the token's scope.
 */
export function openAccessTokenScope(
  provider: InstanceType<typeof Provider>,
  postLogin: PostLogin,
): void {
  const prototype = provider.AccessToken.prototype as AccessToken;
  const { save } = prototype;
  prototype.save = function withChangedScope(this: AccessToken, ...ttl) {
    const { ctx } = Provider;
    const changes = ctx === undefined ? undefined : postLogin.outcome(ctx).scope;
    if (changes !== undefined) this.scope = changeScope(this.scope, changes);
    return save.apply(this, ttl);
  };
}
