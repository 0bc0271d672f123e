import type { interactionPolicy as Policy } from 'oidc-provider';
import { interactionPolicy } from './engine.ts';
import { checkMembership } from './organizations.ts';
import type { PostLogin } from './post-login.ts';
import { findUser, type Tenant } from './tenant.ts';

/** In what order a user is asked for what: sign-in, then the Actions, then consent. */
export function createLoginPolicy(tenant: Tenant, postLogin: PostLogin): Policy.DefaultPolicy {
  const policy = interactionPolicy.base();

  policy.get('login')?.checks.add(
    // A session may outlive its user, whom an edit of the tenant file took away.
    new interactionPolicy.Check(
      'unknown_user',
      'End-User authentication is required',
      (ctx) => ctx.oidc.session?.accountId !== undefined && ctx.oidc.account === undefined,
    ),
  );

  // Asks nothing: a prompt of the engine's is where something runs after sign-in and before consent.
  const actions = new interactionPolicy.Check('actions', 'the Actions run', async (ctx) => {
    const user = findUser(tenant, ctx.oidc.session?.accountId ?? '');
    if (user !== undefined) {
      checkMembership(tenant, ctx, user);
      await postLogin.onAuthorization(ctx, user);
    }
    return interactionPolicy.Check.NO_NEED_TO_PROMPT;
  });
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
