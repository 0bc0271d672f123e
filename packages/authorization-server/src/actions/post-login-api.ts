import { writeClaim } from '../claims/custom-claims.ts';
import { addScope, isScope, removeScope } from '../claims/scope-changes.ts';
import type { ActionCache } from './cache.ts';
import type { PostLoginEvent } from './login-event.ts';
import type { ActionOutcome } from './login-outcome.ts';
import { changeMetadata, changeTransactionMetadata, NO_CHANGES } from './metadata.ts';
import { encodeRedirectToken, validateRedirectToken } from './redirect-token.ts';
import { type Returned, redirectUrl } from './redirects.ts';
import { type ActionLog, thrownText } from './run.ts';

/** A writable outcome, which the methods of the `api` change. */
export type PostLoginDraft = {
  -readonly [Member in keyof ActionOutcome]: ActionOutcome[Member];
} & Record<'accessToken' | 'idToken', Record<string, unknown>>;

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

/** Parts of each trigger's `api` that Auth0 has and this server has not ("Actions Triggers"). */
const UNAVAILABLE = {
  'post-login': 'groups multifactor prompt refreshToken roles samlResponse session'.split(' '),
  'credentials-exchange': ['transaction'],
};

/** Creates the `api` of an Action, which writes to the draft ("Actions Triggers: post-login, API object"). */
export function postLoginApi(parts: ApiParts): object {
  const api: object = {};
  const context: ApiContext = { ...parts, api };
  return Object.assign(api, unavailableParts('post-login'), {
    ...decisionParts(context),
    ...tokenParts(context),
    ...redirectParts(context),
    ...metadataParts(context),
    cache: cachePart(parts.cache),
    rules: apiPart('rules', { wasExecuted: (id: unknown) => parts.rules.includes(String(id)) }),
  });
}

/** Returns the parts of a trigger's `api` of which every method throws. */
export function unavailableParts(trigger: keyof typeof UNAVAILABLE): object {
  return Object.fromEntries(UNAVAILABLE[trigger].map((part) => [part, apiPart(part, {})]));
}

export function cachePart(cache: ActionCache): object {
  return apiPart('cache', {
    get: cache.get.bind(cache),
    set: cache.set.bind(cache),
    delete: cache.delete.bind(cache),
  });
}

/** Creates a part of an `api` with these methods; any other one throws that it is not available. */
function apiPart(
  part: string,
  methods: Readonly<Record<string, (...args: never[]) => unknown>>,
): object {
  return new Proxy(methods, {
    get: (target, method) => {
      if (typeof method === 'symbol') return undefined;
      if (Object.hasOwn(target, method)) return target[method];
      return () => {
        throw new Error(`api.${part}.${method} is not available locally`);
      };
    },
  });
}

function decisionParts({ api, draft, action, log }: ApiContext): object {
  return {
    access: {
      deny(reason: unknown) {
        draft.denied ??= thrownText(reason ?? 'the login was denied');
        return api;
      },
    },
    validation: apiPart('validation', {
      error(code: unknown, message: unknown) {
        draft.denied ??= thrownText(message ?? code);
        const fields = { action, code: thrownText(code), reason: draft.denied };
        log.warn(fields, 'the action found the login invalid');
        return api;
      },
    }),
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

function tokenParts(context: ApiContext): object {
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

function redirectParts(context: ApiContext): object {
  const { api, action, draft, event, index, interactive, returned, now } = context;
  return {
    authentication: apiPart('authentication', {
      recordMethod(url: unknown) {
        if (returned === undefined) {
          throw new Error('api.authentication.recordMethod: only onContinuePostLogin may call it');
        }
        const name = redirectUrl(url, {}, 'api.authentication.recordMethod');
        const timestamp = new Date(now() * 1000).toISOString();
        draft.methods = [...(draft.methods ?? []), { name, timestamp }];
        return api;
      },
    }),
    redirect: apiPart('redirect', {
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
    }),
  };
}

function metadataParts({ api, draft, event }: ApiContext): object {
  const setter = (part: 'app_metadata' | 'user_metadata') => (name: unknown, value: unknown) => {
    draft.metadata = changeMetadata(draft.metadata ?? NO_CHANGES, part, name, value);
    return api;
  };
  return {
    transaction: apiPart('transaction', {
      setMetadata(name: unknown, value: unknown) {
        const metadata = changeTransactionMetadata(draft.transaction ?? {}, name, value);
        draft.transaction = metadata;
        event.transaction.metadata = { ...metadata };
        return api;
      },
    }),
    user: apiPart('user', {
      setAppMetadata: setter('app_metadata'),
      setUserMetadata: setter('user_metadata'),
    }),
  };
}
