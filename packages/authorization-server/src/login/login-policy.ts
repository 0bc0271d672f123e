import type { interactionPolicy as Policy } from 'oidc-provider';
import { EXTERNAL_INTERACTION, type PostLogin } from '../actions/post-login.ts';
import type { RedirectStart } from '../actions/redirects.ts';
import { checkMembership } from '../claims/organizations.ts';
import { interactionPolicy } from '../oidc-provider.ts';
import type { Tenant } from '../tenant/tenant.ts';
import type { Users } from '../tenant/users.ts';

/** In what order a user is asked for what: sign-in, then the Actions, then consent. */
export function createLoginPolicy(
  tenant: Tenant,
  users: Users,
  postLogin: PostLogin,
): Policy.DefaultPolicy {
  const policy = interactionPolicy.base();

  policy.get('login')?.checks.add(
    // A session may outlive its user, whom an edit of the tenant file took away.
    new interactionPolicy.Check(
      'unknown_user',
      'End-User authentication is required',
      (ctx) => ctx.oidc.session?.accountId !== undefined && ctx.oidc.account === undefined,
    ),
  );

  // A prompt of the engine's is where something runs after sign-in and before consent; the user sees
  // of it only where an Action or a rule sends them.
  const redirects = new WeakMap<object, RedirectStart>();
  const actions = new interactionPolicy.Check(
    'actions',
    EXTERNAL_INTERACTION,
    async (ctx) => {
      const user = users.find(ctx.oidc.session?.accountId ?? '');
      if (user === undefined) return interactionPolicy.Check.NO_NEED_TO_PROMPT;
      checkMembership(tenant, ctx, user);
      const redirect = await postLogin.onAuthorization(ctx, user);
      if (redirect === undefined) return interactionPolicy.Check.NO_NEED_TO_PROMPT;
      redirects.set(ctx, redirect);
      return interactionPolicy.Check.REQUEST_PROMPT;
    },
    (ctx) => ({ ...redirects.get(ctx) }),
  );
  policy.add(new interactionPolicy.Prompt({ name: 'actions' }, actions), 1);

  // The engine asks for consent at each login of a native client; Auth0 remembers it there too.
  policy.get('consent')?.checks.remove('native_client_prompt');

  reword(policy, 'login', 'Login required');
  reword(policy, 'consent', 'Consent required');
  return policy;
}

/** Auth0's text for whatever keeps `prompt=none` from being answered without a page. */
function reword(policy: Policy.DefaultPolicy, prompt: string, description: string): void {
  for (const check of policy.get(prompt)?.checks ?? []) check.description = description;
}
