import type { Action, Tenant } from '../tenant/tenant.ts';
import { ActionCache } from './cache.ts';
import type { PostLoginEvent } from './login-event.ts';
import { type ActionOutcome, NO_OUTCOME } from './login-outcome.ts';
import { NO_CHANGES, withMetadata } from './metadata.ts';
import { type ApiParts, type PostLoginDraft, postLoginApi } from './post-login-api.ts';
import type { Returned } from './redirects.ts';
import { type ActionLog, eventFor, runAction, TIME_LIMIT_MS, thrownText } from './run.ts';
import { runRules } from './run-rules.ts';

/** The return of the user from a redirect, and the outcome of what ran before it. */
export interface Resumption {
  readonly before: ActionOutcome;
  readonly returned: Returned;
}

/** Runs the rules, then the Actions; after a redirect by an Action, the Actions from there on. */
export async function runLogin(
  { loginRules, postLogin }: Tenant,
  event: PostLoginEvent,
  { log, cache }: { readonly log: ActionLog; readonly cache: ActionCache },
  { before, returned }: Partial<Resumption> = {},
): Promise<ActionOutcome> {
  const { protocol, prompt } = event.transaction;
  const interactive = protocol !== 'oauth2-refresh-token' && prompt !== 'none';
  const options = { rules: loginRules.map(({ name }) => name), cache, interactive };
  if (before?.redirect?.action !== undefined) {
    return runPostLogin(postLogin, event, log, { ...options, before, returned });
  }
  const afterRedirect = returned !== undefined;
  const afterRules = await runRules(loginRules, event, log, { afterRedirect });
  if (afterRules.redirect !== undefined) return afterRules;
  return runPostLogin(postLogin, event, log, { ...options, before: afterRules });
}

interface RunOptions
  extends Partial<Pick<ApiParts, 'rules' | 'cache' | 'interactive' | 'returned' | 'now'>> {
  /** Milliseconds for each Action. */
  readonly timeLimit?: number;
  /** The outcome of the rules, or, when the user is back from a redirect, of what ran before it. */
  readonly before?: ActionOutcome;
}

/**
 * Runs the post-login Actions in their order. The first that denies, fails or takes too long ends the run.
 * One that redirects pauses it: with `before` and `returned`, its `onContinuePostLogin` goes on.
 */
export async function runPostLogin(
  actions: readonly Action[],
  event: PostLoginEvent,
  log: ActionLog,
  options: RunOptions = {},
): Promise<ActionOutcome> {
  const { timeLimit = TIME_LIMIT_MS, before = NO_OUTCOME, cache = new ActionCache() } = options;
  const { rules = [], interactive = true, returned } = options;
  const { now = () => Math.floor(Date.now() / 1000) } = options;
  const { redirect: paused, ...others } = before;
  const draft: PostLoginDraft = {
    ...others,
    accessToken: { ...before.accessToken },
    idToken: { ...before.idToken },
  };
  const resumed = returned === undefined ? undefined : paused?.action;
  if (resumed !== undefined && actions[resumed.index]?.name !== resumed.name) {
    return { ...draft, denied: `the Action "${resumed.name}" that redirected is gone` };
  }
  for (const [index, action] of actions.entries()) {
    if (draft.denied !== undefined || draft.redirect !== undefined) break;
    if (index < (resumed?.index ?? 0)) continue;
    const continues = index === resumed?.index;
    const { metadata } = draft;
    const own = eventFor(action, eventAfter(event, draft));
    const api = postLoginApi({
      action: action.name,
      event: own,
      draft,
      log,
      index,
      rules,
      cache,
      interactive,
      returned: continues ? returned : undefined,
      now,
    });
    const handler = continues ? 'onContinuePostLogin' : 'onExecutePostLogin';
    try {
      await runAction(action, handler, own, api, { log, timeLimit });
    } catch (error) {
      draft.denied ??= thrownText(error);
      if (metadata === undefined) delete draft.metadata;
      else draft.metadata = metadata;
      log.warn({ action: action.name, reason: draft.denied }, 'the action failed');
    }
    if (draft.denied !== undefined) delete draft.redirect;
  }
  return draft;
}

/** Returns the event with the changes of the Actions that have run. */
function eventAfter(event: PostLoginEvent, draft: PostLoginDraft): PostLoginEvent {
  const { metadata = NO_CHANGES, transaction = {}, methods = [] } = draft;
  return {
    ...event,
    user: withMetadata(event.user, metadata),
    authentication: { methods: [...event.authentication.methods, ...methods] },
    transaction: { ...event.transaction, metadata: transaction },
  };
}
