import type { Action, Tenant } from '../tenant/tenant.ts';
import { ActionCache } from './cache.ts';
import { factorFacts, type PostLoginEvent } from './login-event.ts';
import {
  type ActionOutcome,
  NO_OUTCOME,
  type PostLoginDraft,
  type SecondStep,
} from './login-outcome.ts';
import { NO_CHANGES, withMetadata } from './metadata.ts';
import { type ApiParts, postLoginApi } from './post-login-api.ts';
import type { Returned } from './redirects.ts';
import { type ActionLog, eventFor, runAction, TIME_LIMIT_MS, thrownText } from './run.ts';
import { type RuleOptions, runRules } from './run-rules.ts';
import { afterStep, type ProvedStep, withDeferredStep } from './second-step.ts';

/** The outcome of a run up to a redirect or a second step, and the answer that continues it. */
export interface Resumption {
  readonly before: ActionOutcome;
  readonly returned?: Returned | undefined;
  readonly proved?: ProvedStep | undefined;
}

interface LoginOptions extends Pick<RuleOptions, 'storeMetadata'> {
  readonly log: ActionLog;
  readonly cache: ActionCache;
}

/** Runs the rules, then the Actions; after a pause by an Action, the Actions from there on. */
export async function runLogin(
  { loginRules, postLogin }: Tenant,
  event: PostLoginEvent,
  { log, cache, storeMetadata }: LoginOptions,
  { before, returned, proved }: Partial<Resumption> = {},
): Promise<ActionOutcome> {
  const { protocol, prompt } = event.transaction;
  const silent = Array.isArray(prompt) && prompt.includes('none');
  const interactive = protocol !== 'oauth2-refresh-token' && !silent;
  const options = { rules: loginRules.map(({ name }) => name), cache, interactive };
  const runRest = async (rest: Partial<RunOptions>): Promise<ActionOutcome> => {
    const outcome = await runPostLogin(postLogin, event, log, { ...options, ...rest });
    return withDeferredStep(outcome, eventAfter(event, outcome));
  };
  if (before !== undefined && proved !== undefined) {
    const { step, after = before } = afterStep(before, proved) ?? {};
    // Another step of the same Action is next, or the proved step came after all Actions.
    if (step?.after === undefined || after.steps?.length) return after;
    return runRest({ before: after, after: step.after });
  }
  if (before?.redirect?.action !== undefined) return runRest({ before, returned });
  const afterRedirect = returned !== undefined;
  const afterRules = await runRules(loginRules, event, log, { afterRedirect, storeMetadata });
  if (afterRules.redirect !== undefined) return afterRules;
  return runRest({ before: afterRules });
}

interface RunOptions
  extends Partial<Pick<ApiParts, 'rules' | 'cache' | 'interactive' | 'returned' | 'now'>> {
  /** Milliseconds for each Action. */
  readonly timeLimit?: number;
  /** The outcome of the rules; after a pause, of all that ran before it. */
  readonly before?: ActionOutcome;
  /** The Action whose second step was proved. */
  readonly after?: NonNullable<SecondStep['after']>;
}

/**
 * Runs the post-login Actions in their order. The first that denies, fails or takes too long ends the run.
 * A redirect pauses it: `before` and `returned` let the same Action continue with `onContinuePostLogin`. A
 * second step pauses it too: `before` and `after` let the next Action continue.
 */
export async function runPostLogin(
  actions: readonly Action[],
  event: PostLoginEvent,
  log: ActionLog,
  options: RunOptions = {},
): Promise<ActionOutcome> {
  const { before = NO_OUTCOME, after, returned, cache = new ActionCache() } = options;
  const { redirect: paused, ...others } = before;
  const draft: PostLoginDraft = {
    ...others,
    accessToken: { ...before.accessToken },
    idToken: { ...before.idToken },
  };
  const resumed = after ?? (returned === undefined ? undefined : paused?.action);
  if (resumed !== undefined && actions[resumed.index]?.name !== resumed.name) {
    return { ...draft, denied: `the Action "${resumed.name}" was removed` };
  }
  const first = (resumed?.index ?? 0) + (after === undefined ? 0 : 1);
  for (const [index, action] of actions.entries()) {
    if (index < first) continue;
    const continues = after === undefined && index === resumed?.index;
    if (draft.denied !== undefined || draft.redirect !== undefined) break;
    // An Action that redirected and asked for a factor continues before the second step.
    if (draft.steps?.length && !continues) break;
    await runInto(draft, { action, index, continues, event, log, options: { ...options, cache } });
  }
  return draft;
}

interface ActionRun {
  readonly action: Action;
  readonly index: number;
  /** True: it continues after its redirect. */
  readonly continues: boolean;
  readonly event: PostLoginEvent;
  readonly log: ActionLog;
  readonly options: RunOptions & Required<Pick<RunOptions, 'cache'>>;
}

/** Runs one Action, whose results go into the draft. A failure denies the login. */
async function runInto(
  draft: PostLoginDraft,
  { action, index, continues, event, log, options }: ActionRun,
): Promise<void> {
  const { timeLimit = TIME_LIMIT_MS, cache, rules = [], interactive = true, returned } = options;
  const { now = () => Math.floor(Date.now() / 1000) } = options;
  const { metadata } = draft;
  const own = eventFor('post-login', action, eventAfter(event, draft));
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
    draft.denied ??= thrownText(error, action);
    if (metadata === undefined) delete draft.metadata;
    else draft.metadata = metadata;
    log.warn({ action: action.name, reason: draft.denied }, 'the action failed');
  }
  if (draft.denied !== undefined) {
    delete draft.redirect;
    delete draft.steps;
  }
}

/** Returns the event with the changes of the Actions that have run. */
function eventAfter(event: PostLoginEvent, outcome: ActionOutcome): PostLoginEvent {
  const { metadata = NO_CHANGES, transaction = {}, methods = [], enrolled = [] } = outcome;
  const { session, refresh_token, authentication, user } = event;
  const known = user.enrolledFactors ?? [];
  const added = enrolled.filter((type) => !known.some((one) => one.type === type));
  const factors = [...known, ...added.map((type) => ({ type }))];
  const metadataOf = ({ metadata: changed } = outcome.session ?? {}) =>
    changed && { metadata: changed };
  return {
    ...event,
    user: { ...withMetadata(user, metadata), ...factorFacts(factors) },
    authentication: { ...authentication, methods: [...authentication.methods, ...methods] },
    transaction: { ...event.transaction, metadata: transaction },
    ...(session && { session: { ...session, ...metadataOf() } }),
    ...(refresh_token && {
      refresh_token: { ...refresh_token, ...metadataOf(outcome.refreshToken ?? {}) },
    }),
  };
}
