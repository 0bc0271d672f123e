import type { Account, AccountClaims, FindAccount } from 'oidc-provider';
import { type Outcomes, outcomeOf } from '../actions/login-outcome.ts';
import type { PostLogin } from '../actions/post-login.ts';
import { isStandardClaim } from '../claims/custom-claims.ts';
import type { Organizations } from '../claims/organizations.ts';
import type { User } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';

interface AccountParts {
  readonly users: Users;
  readonly postLogin: PostLogin;
  readonly outcomes: Outcomes;
  readonly organizations: Organizations;
}

/** The engine's way to the users; at the token endpoint it loads the Actions' outcome. */
export function findAccount({
  users,
  postLogin,
  outcomes,
  organizations,
}: AccountParts): FindAccount {
  return async function findAccount(ctx, userId, token): Promise<Account | undefined> {
    const user = users.find(userId);
    if (user === undefined || user.blocked) return undefined;
    if (token?.kind === 'RefreshToken') {
      // Used before: the engine ends its family after this, and no Action's denial may come first.
      if (!token.consumed) {
        if (!organizations.stillMember(token.grantId, user)) return undefined;
        await postLogin.onRefresh(ctx, user);
      }
    } else if (token?.kind === 'AuthorizationCode' && token.grantId !== undefined) {
      outcomes.load(ctx, { grantId: token.grantId });
    } else if (token?.kind === 'AccessToken') {
      outcomes.load(ctx, { userId, clientId: token.clientId ?? '' });
    }
    return {
      accountId: userId,
      // A standard claim that an Action set still needs its scope: the engine masks these.
      claims: () => ({
        ...profileOf(user),
        ...Object.fromEntries(
          Object.entries(outcomeOf(ctx).idToken).filter(([name]) => isStandardClaim(name)),
        ),
        sub: userId,
      }),
    };
  };
}

/** OpenID Connect Core §5.1. */
function profileOf(user: User): AccountClaims {
  return {
    sub: user.user_id,
    name: user.name,
    given_name: user.given_name,
    family_name: user.family_name,
    nickname: user.nickname ?? (user.email.split('@')[0] || undefined),
    picture: user.picture,
    // An identity provider may know no address.
    ...(user.email && { email: user.email, email_verified: user.email_verified }),
  };
}
