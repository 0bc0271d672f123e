import { writeClaim } from '../claims/custom-claims.ts';
import { addScope, isScope, removeScope, type ScopeChanges } from '../claims/scope-changes.ts';
import type { Action } from '../tenant/tenant.ts';
import type { ActionCache } from './cache.ts';
import type { PostLoginEvent } from './login-event.ts';
import type { AuthenticationMethod, Redirect } from './login-outcome.ts';
import { encodeRedirectToken, validateRedirectToken } from './redirect-token.ts';
import { redirectUrl } from './redirect-url.ts';
import type { ActionLog } from './run.ts';
import { thrownText } from './thrown-text.ts';
import { type TransactionMetadata, writeTransactionMetadata } from './transaction-metadata.ts';
import { unavailableMethods, withUnavailable } from './unavailable-methods.ts';
import { changeMetadata, type MetadataChanges, NO_CHANGES } from './user-metadata.ts';

/** The outcome in the making, which the `api` writes to. */
export interface PostLoginDraft {
  accessToken: Record<string, unknown>;
  idToken: Record<string, unknown>;
  scope?: ScopeChanges;
  metadata?: MetadataChanges;
  transaction?: TransactionMetadata;
  methods?: readonly AuthenticationMethod[];
  redirect?: Redirect;
  denied?: string;
}

/** With what the user came back to `/continue`. */
export interface Returned {
  readonly state: string;
  /** Of query and body; of a name in both the body's. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** In place of those of the authorization request. */
  readonly request: Pick<PostLoginEvent['request'], 'method' | 'query' | 'body'>;
}

interface ApiParts {
  /** The Action's own copy. */
  readonly event: PostLoginEvent;
  readonly draft: PostLoginDraft;
  readonly log: ActionLog;
  /** The Action's place among the Actions. */
  readonly index: number;
  /** The names of the rules that ran. */
  readonly rules: readonly string[];
  readonly cache: ActionCache;
  readonly interactive: boolean;
  /** Undefined unless this is `onContinuePostLogin`. */
  readonly returned: Returned | undefined;
  /** Epoch seconds. */
  readonly now: () => number;
}

/**
 * The `api` object of one Action, "Actions Triggers: post-login, API object": its methods write to
 * the draft, and answer the object again, so that calls can be chained, unless they have an answer.
 */
export function postLoginApi(action: Action, parts: ApiParts): object {
  const { event, draft, log, index, rules, cache, interactive, returned, now } = parts;
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
  const metadataSetter =
    (part: 'app_metadata' | 'user_metadata') => (name: unknown, value: unknown) => {
      draft.metadata = changeMetadata(draft.metadata ?? NO_CHANGES, part, name, value);
      return api;
    };
  const api: object = {
    ...unavailableMethods('post-login'),
    access: {
      deny: (reason: unknown) => {
        draft.denied ??= thrownText(reason ?? 'the login was denied');
        return api;
      },
    },
    accessToken: {
      setCustomClaim: claimSetter('accessToken'),
      addScope: scopeChanger(addScope),
      removeScope: scopeChanger(removeScope),
    },
    idToken: { setCustomClaim: claimSetter('idToken') },
    authentication: withUnavailable('authentication', {
      recordMethod: (url: unknown) => {
        if (returned === undefined) {
          throw new Error('api.authentication.recordMethod: only onContinuePostLogin may call it');
        }
        const name = redirectUrl(url, {}, 'api.authentication.recordMethod');
        const timestamp = new Date(now() * 1000).toISOString();
        draft.methods = [...(draft.methods ?? []), { name, timestamp }];
        return api;
      },
    }),
    cache: withUnavailable('cache', { get: cache.get, set: cache.set, delete: cache.delete }),
    redirect: withUnavailable('redirect', {
      canRedirect: () => interactive,
      encodeToken: (options: unknown) => {
        const { user, request, tenant } = event;
        const claims = { iss: request.hostname ?? tenant.id, sub: user.user_id, ip: request.ip };
        return encodeRedirectToken(options, claims, now());
      },
      sendUserTo: (url: unknown, options?: { query?: unknown }) => {
        const to = redirectUrl(url, options?.query, 'api.redirect.sendUserTo');
        draft.redirect = { url: to, action: { index, name: action.name } };
        return api;
      },
      validateToken: (options: unknown) => {
        if (returned === undefined) {
          throw new Error('api.redirect.validateToken: only onContinuePostLogin has a token');
        }
        return validateRedirectToken(options, returned.fields, {
          state: returned.state,
          now: now(),
        });
      },
    }),
    rules: withUnavailable('rules', { wasExecuted: (id: unknown) => rules.includes(String(id)) }),
    transaction: withUnavailable('transaction', {
      setMetadata: (name: unknown, value: unknown) => {
        const metadata = { ...draft.transaction };
        writeTransactionMetadata(metadata, name, value);
        draft.transaction = metadata;
        event.transaction.metadata = { ...metadata };
        return api;
      },
    }),
    user: withUnavailable('user', {
      setAppMetadata: metadataSetter('app_metadata'),
      setUserMetadata: metadataSetter('user_metadata'),
    }),
    validation: withUnavailable('validation', {
      error: (code: unknown, message: unknown) => {
        draft.denied ??= thrownText(message ?? code);
        const fields = { code: thrownText(code), reason: draft.denied };
        log.warn({ ...source, ...fields }, 'the action found the login invalid');
        return api;
      },
    }),
  };
  return api;
}
