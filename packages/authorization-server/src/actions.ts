import { type ActionLog, messageOf, runAction, TIME_LIMIT } from './action-run.ts';
import { writeClaim } from './custom-claims.ts';
import type { RequestFacts } from './request-facts.ts';
import { addScope, isScope, removeScope, type ScopeChanges } from './scope-changes.ts';
import type { Action, User } from './tenant.ts';
import { unavailableMethods } from './unavailable-methods.ts';

/** What all rules and post-login Actions together made of one login. */
export interface ActionOutcome {
  /** Custom claims of the access token. */
  readonly accessToken: Readonly<Record<string, unknown>>;
  /** Custom claims of the ID token and of the userinfo answer. */
  readonly idToken: Readonly<Record<string, unknown>>;
  /** Changes to the access token's scope; undefined without any. */
  readonly scope?: ScopeChanges;
  /** Why the login is refused; undefined when it is not. */
  readonly denied?: string;
}

/** The outcome of a login without Actions. */
export const NOTHING: ActionOutcome = { accessToken: {}, idToken: {} };

/** What an Action is told, "Actions Triggers: post-login, Event object"; `secrets` comes from us. */
export interface PostLoginEvent {
  readonly user: Omit<User, 'password' | 'roles'>;
  readonly client: { client_id: string; name: string; metadata: Record<string, unknown> };
  readonly connection: { id: string; name: string; strategy: string };
  readonly authorization: { roles: string[] };
  readonly authentication: { methods: { name: string; timestamp: string }[] };
  readonly stats: { logins_count: number };
  readonly organization?:
    | { id: string; name: string; display_name: string; metadata: Record<string, unknown> }
    | undefined;
  readonly resource_server?: { identifier: string };
  readonly tenant: { id: string };
  readonly transaction: {
    protocol: 'oidc-basic-profile' | 'oauth2-refresh-token';
    requested_scopes: string[];
    [parameter: string]: unknown;
  };
  readonly request: RequestFacts & { query: Record<string, unknown> };
}

interface Draft {
  accessToken: Record<string, unknown>;
  idToken: Record<string, unknown>;
  scope?: ScopeChanges;
  denied?: string;
}

/**
 * Runs the post-login Actions one after the other. The first that denies ends the run, and so does
 * one that throws or takes longer than `timeLimit`, which denies the login with its message.
 *
 * @param options `timeLimit` in milliseconds; `afterRules` is what the rules made of the login.
 */
export async function runPostLogin(
  actions: readonly Action[],
  event: PostLoginEvent,
  log: ActionLog,
  { timeLimit = TIME_LIMIT, afterRules = NOTHING } = {},
): Promise<ActionOutcome> {
  const draft: Draft = {
    ...afterRules,
    accessToken: { ...afterRules.accessToken },
    idToken: { ...afterRules.idToken },
  };
  for (const action of actions) {
    if (draft.denied !== undefined) break;
    try {
      const api = apiFor(action, draft, log);
      await runAction(action, 'onExecutePostLogin', event, api, { log, timeLimit });
    } catch (error) {
      draft.denied ??= messageOf(error);
      log.warn({ action: action.name, reason: draft.denied }, 'the action failed');
    }
  }
  return draft;
}

/** The `api` object; every method answers it again, so that calls can be chained. */
function apiFor(action: Action, draft: Draft, log: ActionLog): object {
  const source = { action: action.name };
  const claimSetter = (token: 'accessToken' | 'idToken') => (name: unknown, value: unknown) => {
    if (!writeClaim(draft[token], token, String(name), value)) {
      log.warn({ ...source, token, claim: name }, 'restricted claim dropped');
    }
    return api;
  };
  const scopeChanger = (change: typeof addScope) => (scope: unknown) => {
    if (isScope(scope)) draft.scope = change(draft.scope, scope);
    else log.warn({ ...source, scope }, 'invalid scope dropped');
    return api;
  };
  const api: object = {
    ...unavailableMethods('post-login'),
    access: {
      deny: (reason: unknown) => {
        draft.denied ??= String(reason ?? 'the login was denied');
        return api;
      },
    },
    accessToken: {
      setCustomClaim: claimSetter('accessToken'),
      addScope: scopeChanger(addScope),
      removeScope: scopeChanger(removeScope),
    },
    idToken: { setCustomClaim: claimSetter('idToken') },
  };
  return api;
}
