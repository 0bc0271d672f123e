import { writeClaim } from '../claims/custom-claims.ts';
import { addScope, isScope, removeScope } from '../claims/scope-changes.ts';
import type { ActionCache } from './cache.ts';
import type { PostLoginEvent } from './login-event.ts';
import type { PostLoginDraft, SecondStep } from './login-outcome.ts';
import { changeMetadata, changeTransactionMetadata, NO_CHANGES } from './metadata.ts';
import { encodeRedirectToken, validateRedirectToken } from './redirect-token.ts';
import { type Returned, redirectUrl } from './redirects.ts';
import { createApi } from './reference.ts';
import { type ActionLog, runningSource, thrownText } from './run.ts';
import { readFactors, readMultifactor, requestStep } from './second-step.ts';
import { termsMethods } from './session-terms.ts';

export interface ApiParts {
  /** Name of the Action, and its place among all. */
  readonly action: string;
  readonly index: number;
  /** The Action's own copy. */
  readonly event: PostLoginEvent;
  readonly draft: PostLoginDraft;
  readonly log: ActionLog;
  readonly rules: readonly string[];
  readonly cache: ActionCache;
  /** False when no user waits in a browser. */
  readonly interactive: boolean;
  /** Undefined unless this is `onContinuePostLogin`. */
  readonly returned: Returned | undefined;
  /** Epoch seconds. */
  readonly now: () => number;
}

/** Parts with the whole `api`, which most methods return, so that calls can be chained. */
type ApiContext = ApiParts & { readonly api: object };

type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;

/** Creates the `api` of an Action, which writes to the draft ("Actions Triggers: post-login, API object"). */
export function postLoginApi(parts: ApiParts): object {
  const api: object = {};
  const context: ApiContext = { ...parts, api };
  return createApi('post-login', api, {
    ...decisionParts(context),
    ...tokenParts(context),
    ...factorParts(context),
    ...redirectParts(context),
    ...metadataParts(context),
    ...sessionParts(context),
    cache: cacheMethods(parts.cache),
    rules: { wasExecuted: (id: unknown) => parts.rules.includes(String(id)) },
  });
}

export function cacheMethods(cache: ActionCache): Methods {
  return {
    get: cache.get.bind(cache),
    set: cache.set.bind(cache),
    delete: cache.delete.bind(cache),
  };
}

function decisionParts({ api, draft, action, log }: ApiContext): Record<string, Methods> {
  return {
    access: {
      deny(reason: unknown) {
        draft.denied ??= thrownText(reason ?? 'the login was denied');
        return api;
      },
    },
    validation: {
      error(code: unknown, message: unknown) {
        draft.denied ??= thrownText(message ?? code);
        const source = runningSource();
        const reason = thrownText(message ?? code, source);
        const fields = { action, code: thrownText(code, source), reason };
        log.warn(fields, 'the action found the login invalid');
        return api;
      },
    },
  };
}

export function claimSetter(
  { api, action, log }: Pick<ApiContext, 'api' | 'action' | 'log'>,
  token: 'accessToken' | 'idToken',
  claims: Record<string, unknown>,
) {
  return (name: unknown, value: unknown) => {
    if (!writeClaim(claims, token, String(name), value)) {
      log.warn({ action, token, claim: name }, 'restricted claim dropped');
    }
    return api;
  };
}

function tokenParts(context: ApiContext): Record<string, Methods> {
  const { api, draft, action, log } = context;
  const scopeChanger = (change: typeof addScope) => (scope: unknown) => {
    if (isScope(scope)) draft.scope = change(draft.scope, scope);
    else log.warn({ action, scope }, 'invalid scope dropped');
    return api;
  };
  return {
    accessToken: {
      setCustomClaim: claimSetter(context, 'accessToken', draft.accessToken),
      addScope: scopeChanger(addScope),
      removeScope: scopeChanger(removeScope),
    },
    idToken: { setCustomClaim: claimSetter(context, 'idToken', draft.idToken) },
  };
}

/** The second step is a page of this server; as at Auth0, later Actions run after it. */
function factorParts(context: ApiContext): Record<string, Methods> {
  const { api, action, draft, event, index, returned, now } = context;
  const requester =
    (method: string, kind: SecondStep['kind']) => (factors: unknown, options?: unknown) => {
      const types = readFactors(`api.authentication.${method}`, factors, options);
      requestStep(draft, event, { kind, factors: types, after: { index, name: action } });
      return api;
    };
  return {
    authentication: {
      challengeWith: requester('challengeWith', 'challenge'),
      challengeWithAny: requester('challengeWithAny', 'challenge'),
      enrollWith: requester('enrollWith', 'enroll'),
      enrollWithAny: requester('enrollWithAny', 'enroll'),
      recordMethod(url: unknown) {
        if (returned === undefined) {
          throw new Error('api.authentication.recordMethod: only onContinuePostLogin may call it');
        }
        const name = redirectUrl(url, {}, 'api.authentication.recordMethod');
        const timestamp = new Date(now() * 1000).toISOString();
        draft.methods = [...(draft.methods ?? []), { name, timestamp }];
        return api;
      },
    },
    multifactor: {
      enable(provider: unknown, options?: { allowRememberBrowser?: unknown }) {
        const remember = options?.allowRememberBrowser === true;
        const multifactor = readMultifactor('api.multifactor.enable', provider, remember);
        if (multifactor === undefined) delete draft.multifactor;
        else draft.multifactor = multifactor;
        return api;
      },
    },
  };
}

function redirectParts(context: ApiContext): Record<string, Methods> {
  const { api, action, draft, event, index, interactive, returned, now } = context;
  return {
    redirect: {
      canRedirect: () => interactive,
      encodeToken(options: unknown) {
        const { user, request, tenant } = event;
        const claims = { iss: request.hostname ?? tenant.id, sub: user.user_id, ip: request.ip };
        return encodeRedirectToken(options, claims, now());
      },
      sendUserTo(url: unknown, options?: { query?: unknown }) {
        const to = redirectUrl(url, options?.query, 'api.redirect.sendUserTo');
        draft.redirect = { url: to, action: { index, name: action } };
        return api;
      },
      validateToken(options: unknown) {
        if (returned === undefined) {
          throw new Error('api.redirect.validateToken: only onContinuePostLogin has a token');
        }
        const { state, fields } = returned;
        return validateRedirectToken(options, fields, { state, now: now() });
      },
    },
  };
}

function metadataParts({ api, draft, event }: ApiContext): Record<string, Methods> {
  const setter = (part: 'app_metadata' | 'user_metadata') => (name: unknown, value: unknown) => {
    draft.metadata = changeMetadata(draft.metadata ?? NO_CHANGES, part, name, value);
    return api;
  };
  return {
    transaction: {
      setMetadata(name: unknown, value: unknown) {
        const metadata = changeTransactionMetadata(draft.transaction ?? {}, name, value);
        draft.transaction = metadata;
        event.transaction.metadata = { ...metadata };
        return api;
      },
    },
    user: {
      setAppMetadata: setter('app_metadata'),
      setUserMetadata: setter('user_metadata'),
    },
  };
}

function sessionParts({ api, draft, event }: ApiContext): Record<string, Methods> {
  const revoker =
    (part: 'session' | 'refreshToken') =>
    (reason: unknown, options?: { preserveRefreshTokens?: unknown }) => {
      if (part === 'refreshToken' && event.refresh_token === undefined) {
        throw new Error('api.refreshToken.revoke: only a refresh has a token');
      }
      draft.denied ??= thrownText(reason ?? `the ${part} was revoked`);
      const preserveRefreshTokens = options?.preserveRefreshTokens === true;
      draft[part] = { ...draft[part], revoked: { preserveRefreshTokens } };
      return api;
    };
  const methodsOf = (part: 'session' | 'refreshToken', metadata?: Record<string, string>) =>
    termsMethods({
      ...{ api, part, metadata },
      read: () => draft[part] ?? {},
      write: (changes) => {
        draft[part] = changes;
      },
    });
  return {
    session: {
      ...methodsOf('session', event.session?.metadata),
      revoke: revoker('session'),
      setCookieMode(mode: unknown) {
        if (mode !== 'persistent' && mode !== 'non-persistent') {
          throw new Error('api.session.setCookieMode: give persistent or non-persistent');
        }
        draft.session = { ...draft.session, cookieMode: mode };
        return api;
      },
    },
    refreshToken: {
      ...methodsOf('refreshToken', event.refresh_token?.metadata),
      revoke: revoker('refreshToken'),
    },
  };
}
