import type { interactionPolicy as Policy } from 'oidc-provider';
import { EXTERNAL_INTERACTION } from '../actions/post-login.ts';
import { checkMembership } from '../claims/organizations.ts';
import type { AppContext } from '../context.ts';
import { interactionPolicy } from '../oidc-provider.ts';

/** Returns the prompts in their order: sign-in, Actions, consent. */
export function createLoginPolicy({ tenant, users, postLogin }: AppContext): Policy.DefaultPolicy {
  const { Check, Prompt, base } = interactionPolicy;
  const policy = base();

  policy.get('login')?.checks.add(
    // A session outlives a user that is removed from the tenant file.
    new Check(
      'unknown_user',
      'End-User authentication is required',
      (ctx) => ctx.oidc.session?.accountId !== undefined && ctx.oidc.account === undefined,
    ),
  );
  policy.get('login')?.checks.add(
    new Check('switch_account', 'End-User authentication is required', ({ oidc: { result } }) => {
      return result?.switchAccount === true && result.login === undefined;
    }),
  );

  // The SDKs of Auth0 offer `prompt=select_account`; here the sign-in page has a button for each user.
  const selection = new Prompt({ name: 'select_account', requestable: true });
  selection.checks.clear();
  policy.add(selection);
  policy.get('login')?.checks.add(
    new Check('select_account', 'End-User authentication is required', ({ oidc }) => {
      return oidc.prompts.has('select_account') && oidc.result?.login === undefined;
    }),
  );

  // The engine runs code between sign-in and consent only as a prompt. The user sees this prompt only
  // when an Action or a rule redirects, or requests a second factor.
  const actions = new Check(
    'actions',
    EXTERNAL_INTERACTION,
    async (ctx) => {
      const user = users.find(ctx.oidc.session?.accountId);
      if (user === undefined) return Check.NO_NEED_TO_PROMPT;
      checkMembership(tenant, ctx, user);
      await postLogin.onAuthorization(ctx, user);
      return postLogin.pauseOf(ctx) === undefined ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT;
    },
    (ctx) => ({ ...postLogin.pauseOf(ctx) }),
  );
  policy.add(new Prompt({ name: 'actions' }, actions), 1);

  // The engine asks for consent at each login of a native client; Auth0 stores that consent.
  policy.get('consent')?.checks.remove('native_client_prompt');

  // Auth0's texts for a request with `prompt=none` that needs a page.
  for (const check of policy.get('login')?.checks ?? []) check.description = 'Login required';
  for (const check of policy.get('consent')?.checks ?? []) check.description = 'Consent required';
  return policy;
}
