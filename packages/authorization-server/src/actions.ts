import { type ActionConsole, compileAction } from './action-file.ts';
import { isRestrictedClaim } from './custom-claims.ts';
import type { Action, User } from './tenant.ts';

/** What all post-login Actions together made of one login. */
export interface ActionOutcome {
  /** Custom claims of the access token. */
  readonly accessToken: Readonly<Record<string, unknown>>;
  /** Custom claims of the ID token and of the userinfo answer. */
  readonly idToken: Readonly<Record<string, unknown>>;
  /** Why the login is refused; undefined when it is not. */
  readonly denied?: string;
}

/** What an Action is told, "Actions Triggers: post-login, Event object"; `secrets` comes from us. */
export interface PostLoginEvent {
  readonly user: Omit<User, 'password' | 'roles'>;
  readonly client: { client_id: string; name: string; metadata: Record<string, unknown> };
  readonly connection: { id: string; name: string; strategy: string };
  readonly authorization: { roles: string[] };
  readonly resource_server?: { identifier: string };
  readonly tenant: { id: string };
  readonly transaction: {
    protocol: 'oidc-basic-profile' | 'oauth2-refresh-token';
    requested_scopes: string[];
    [parameter: string]: unknown;
  };
  readonly request: { ip: string; method: string; user_agent: string };
}

interface ActionLog {
  warn: (fields: object, message: string) => void;
  info: (fields: object, message: string) => void;
}

interface Draft {
  accessToken: Record<string, unknown>;
  idToken: Record<string, unknown>;
  denied?: string;
}

const TIME_LIMIT = 20_000;

/**
 * Runs the post-login Actions one after the other. The first that denies ends the run, and so does
 * one that throws or takes longer than `timeLimit`, which denies the login with its message.
 *
 * @param timeLimit milliseconds; Auth0's is 20 s.
 */
export async function runPostLogin(
  actions: readonly Action[],
  event: PostLoginEvent,
  log: ActionLog,
  timeLimit = TIME_LIMIT,
): Promise<ActionOutcome> {
  const draft: Draft = { accessToken: {}, idToken: {} };
  for (const action of actions) {
    try {
      const { onExecutePostLogin } = compileAction(action)(consoleFor(action, log));
      if (onExecutePostLogin === undefined) throw new Error('exports no onExecutePostLogin');
      // A copy each: what one Action writes into its event is not seen by the next, as at Auth0.
      const told = { ...structuredClone(event), secrets: { ...action.secrets } };
      await within(timeLimit, onExecutePostLogin(told, apiFor(action, draft, log)));
    } catch (error) {
      draft.denied ??= messageOf(error);
      log.warn({ action: action.name, reason: draft.denied }, 'the action failed');
    }
    if (draft.denied !== undefined) break;
  }
  return draft;
}

/** The `api` object; every method answers it again, so that calls can be chained. */
function apiFor(action: Action, draft: Draft, log: ActionLog): object {
  const setter = (token: 'accessToken' | 'idToken') => (name: string, value: unknown) => {
    if (isRestrictedClaim(String(name))) {
      log.warn({ action: action.name, token, claim: name }, 'restricted claim dropped');
    } else if (value === undefined || value === null) {
      delete draft[token][name];
    } else {
      draft[token][name] = JSON.parse(JSON.stringify(value)) as unknown;
    }
    return api;
  };
  const api: object = {
    access: {
      deny: (reason: unknown) => {
        draft.denied ??= String(reason ?? 'the login was denied');
        return api;
      },
    },
    accessToken: { setCustomClaim: setter('accessToken') },
    idToken: { setCustomClaim: setter('idToken') },
  };
  return api;
}

function consoleFor(action: Action, log: ActionLog): ActionConsole {
  const write = (...parts: unknown[]): void => {
    log.info({ action: action.name }, parts.map((part) => show(part)).join(' '));
  };
  return { debug: write, error: write, info: write, log: write, warn: write };
}

function show(part: unknown): string {
  return typeof part === 'string' ? part : (JSON.stringify(part) ?? String(part));
}

function messageOf(error: unknown): string {
  // An error from an Action may be of another realm, so its shape counts, not its class.
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' && message !== '' ? message : String(error);
}

async function within(milliseconds: number, work: unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`took longer than ${milliseconds} ms`));
    }, milliseconds);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
