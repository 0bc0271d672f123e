import type { Action } from '../tenant/tenant.ts';
import { type ActionCache, createActionCache } from './cache.ts';
import type { PostLoginEvent } from './login-event.ts';
import { type ActionOutcome, NOTHING } from './login-outcome.ts';
import { type PostLoginDraft, postLoginApi, type Returned } from './post-login-api.ts';
import { type ActionLog, runAction, TIME_LIMIT, tell } from './run.ts';
import { thrownText } from './thrown-text.ts';
import { NO_CHANGES, withMetadata } from './user-metadata.ts';

interface RunOptions {
  /** Milliseconds for each Action. */
  readonly timeLimit?: number;
  /** What the rules made of the login, or what there was when the user was sent away. */
  readonly before?: ActionOutcome;
  /** The names of the rules that ran. */
  readonly rules?: readonly string[];
  readonly cache?: ActionCache;
  /** Whether there is a browser with a user before it; default true. */
  readonly interactive?: boolean;
  /** With what the user came back from `before.redirect`; the Actions go on from there. */
  readonly returned?: Returned | undefined;
  /** Epoch seconds. */
  readonly now?: () => number;
}

/**
 * Runs the post-login Actions one after the other. The first that denies ends the run, and so does
 * one that throws or takes longer than `timeLimit`, which denies the login with its message. One that
 * redirects ends the run for now: with `before` and `returned` it goes on with the same Action's
 * `onContinuePostLogin`, and the Actions after it.
 */
export async function runPostLogin(
  actions: readonly Action[],
  event: PostLoginEvent,
  log: ActionLog,
  options: RunOptions = {},
): Promise<ActionOutcome> {
  const { timeLimit = TIME_LIMIT, before = NOTHING, cache = createActionCache() } = options;
  const { rules = [], interactive = true, returned, now = epochSeconds } = options;
  const { redirect: paused, ...draft } = draftOf(before);
  const from = returned === undefined ? undefined : paused?.action;
  if (from !== undefined && actions[from.index]?.name !== from.name) {
    return { ...draft, denied: `the Action "${from.name}" that redirected is gone` };
  }
  const state: PostLoginDraft = draft;
  for (const [index, action] of actions.entries()) {
    if (state.denied !== undefined || state.redirect !== undefined) break;
    if (index < (from?.index ?? 0)) continue;
    const continues = index === from?.index;
    const { metadata } = state;
    const told = tell(action, during(event, state));
    const facts = {
      index,
      rules,
      cache,
      interactive,
      now,
      returned: continues ? returned : undefined,
    };
    try {
      const api = postLoginApi(action, { event: told, draft: state, log, ...facts });
      const handler = continues ? 'onContinuePostLogin' : 'onExecutePostLogin';
      await runAction(action, handler, told, api, { log, timeLimit });
    } catch (error) {
      state.denied ??= thrownText(error);
      if (metadata === undefined) delete state.metadata;
      else state.metadata = metadata;
      log.warn({ action: action.name, reason: state.denied }, 'the action failed');
    }
    if (state.denied !== undefined) delete state.redirect;
  }
  return state;
}

/** The login as it is after the Actions that have run. */
function during(event: PostLoginEvent, draft: PostLoginDraft): PostLoginEvent {
  const { metadata = NO_CHANGES, transaction = {}, methods = [] } = draft;
  return {
    ...event,
    user: withMetadata(event.user, metadata),
    authentication: { methods: [...event.authentication.methods, ...methods] },
    transaction: { ...event.transaction, metadata: transaction },
  };
}

function draftOf(before: ActionOutcome): PostLoginDraft {
  return { ...before, accessToken: { ...before.accessToken }, idToken: { ...before.idToken } };
}

function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
