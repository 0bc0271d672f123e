import type { AccessToken } from 'oidc-provider';
import type { PostLogin } from '../actions/post-login.ts';
import { changeScope } from '../claims/scope-changes.ts';
import { Provider } from '../oidc-provider.ts';

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
