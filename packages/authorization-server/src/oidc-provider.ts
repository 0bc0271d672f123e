import './engine-warning.ts';
import { randomUUID } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { Context, Middleware, Next } from 'koa';
import {
  type AccessToken,
  type Client,
  type Provider as Engine,
  errors,
  interactionPolicy,
  type KoaContextWithOIDC,
  Provider,
} from 'oidc-provider';
import { splitScope } from './claims/scope-changes.ts';
import { showWarnings } from './engine-warning.ts';
import { sendLogoutToken } from './http/logout-token.ts';
import { hasPlaceholder } from './tenant/allowed-urls.ts';

/*
 * Every override of oidc-provider, the engine, is in this file and is called `patch…`. Compare each with
 * the engine's source before you install another version.
 *
 * Other files change the engine's state of a request: `params` in `token/audience.ts`,
 * `token/multi-resource.ts` and `claims/custom-claims.ts`, `result` in `actions/post-login.ts`, the request
 * in `token/json-bodies.ts` and `http/posted-requests.ts`, `session.touched` in `login/device.tsx`,
 * `session.state` in `login/logout.tsx`.
 */

/** Version that the patches are for. */
export const PATCHED_VERSION = '9.13.3';

showWarnings();

export { errors, interactionPolicy, Provider };

type Claims = Record<string, unknown>;
type ResponseMode = Parameters<Engine['registerResponseMode']>[1];

/** A client with the method that the engine's types leave out. */
export type LogoutClient = Client & { backchannelLogout(sub: string, sid?: string): Promise<void> };

/** Members of an ID token, or a logout token, that the engine's types leave out. */
interface EngineIdToken {
  readonly ctx?: KoaContextWithOIDC;
  mask: object;
  set(claim: string, value: unknown): void;
  payload(): Promise<Claims>;
  issue(options: { use: 'logout' }): Promise<string>;
}

interface EngineIdTokenClass {
  new (claims: object, of: object): EngineIdToken;
  readonly prototype: EngineIdToken;
  expiresIn(...args: unknown[]): number;
}

/** Replacements for values of the engine. */
export interface EngineHooks {
  readonly idTokenClaims: (ctx: KoaContextWithOIDC, claims: Claims) => Claims;
  /** Checks whether tokens for this audience get bound to the key of a proof. */
  readonly bindsTokens: (audience: string | undefined) => boolean;
  readonly accessTokenScope: (ctx: KoaContextWithOIDC, scope?: string) => string | undefined;
  /** Checks a redirect URI that is not in the client's list. @param organization of the request. */
  readonly isCallback: (clientId: string, url: string, organization: unknown) => boolean;
  readonly isLogoutUrl: (clientId: string, url: string) => boolean;
  /** Returns the receivers of logout tokens; the engine knows the first. */
  readonly logoutReceivers: (clientId: string) => readonly string[];
  /** False when the server has closed: it sends no logout token again. */
  readonly isListening: () => boolean;
  /** Called when a refresh has found its token, before the engine compares the scopes. */
  readonly refreshRequested: (ctx: KoaContextWithOIDC) => void;
  /** Returns a resource that a refresh may name in addition to that of its token. */
  readonly chosenResource: (ctx: KoaContextWithOIDC) => string | undefined;
  readonly clock: { readonly seconds: number };
}

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** Applies all patches of an instance; `patchIss` patches the class. */
export function patchEngine(provider: Engine, hooks: EngineHooks): void {
  // The engine then reads the scheme that `issuerOrigin` writes, not a proxy's.
  provider.proxy = true;
  patchScope(provider);
  patchIdTokenClaims(provider, hooks.idTokenClaims);
  patchIdTokenExpiry(provider, hooks.clock);
  patchSid(provider);
  patchBackchannelLogout(provider, hooks);
  patchAccessTokenScope(provider, hooks.accessTokenScope);
  patchBinding(provider, hooks.bindsTokens);
  patchRefreshAnswer(provider);
  patchAllowedUrls(provider, hooks);
  patchRefreshResource(provider, hooks);
  patchResponseTypes(provider);
}

/**
 * Returns a subclass that sends no `iss` with an authorization response (RFC 9207), as Auth0 by default.
 * The engine always sends it. A subclass is needed, as the constructor registers response modes.
 */
export function patchIss(Base: typeof Provider): typeof Provider {
  return class extends Base {
    override registerResponseMode(name: string, respond: ResponseMode): void {
      super.registerResponseMode(name, (ctx, redirectUri, { iss: _, ...response }) =>
        respond(ctx, redirectUri, response),
      );
    }
  };
}

/** Facts of the metadata that the engine does not know. */
interface MetadataFacts {
  readonly responseMode: string;
  /** True: an authorization response has `iss`. */
  readonly sendsIss: boolean;
  /** True: clients find the logout endpoint. */
  readonly announcesLogout: boolean;
}

/** Completes the metadata, and removes what the tenant does not have or announce. */
export function patchMetadata(facts: MetadataFacts): Middleware {
  return async function patchMetadata(ctx: Context, next: Next) {
    await next();
    if (typeof ctx.body !== 'object' || ctx.body === null || !('issuer' in ctx.body)) return;
    const metadata = ctx.body as Claims;
    if (!facts.sendsIss) delete metadata.authorization_response_iss_parameter_supported;
    if (!facts.announcesLogout) delete metadata.end_session_endpoint;
    metadata.request_parameter_supported ??= false;
    const { response_modes_supported: modes, claims_supported: claims } = metadata;
    if (Array.isArray(modes)) modes.push(facts.responseMode);
    if (Array.isArray(claims)) claims.push('aud', 'exp', 'iat');
  };
}

/** The engine refuses a scope parameter with two spaces in a row or a space at an end. */
function patchScope({ OIDCContext }: Engine): void {
  const paramsOf = new WeakMap<object, Claims | undefined>();
  Object.defineProperty(OIDCContext.prototype, 'params', {
    get(this: object) {
      return paramsOf.get(this);
    },
    set(this: object, params?: Claims) {
      if (params && typeof params.scope === 'string') {
        params.scope = splitScope(params.scope).join(' ') || undefined;
      }
      paramsOf.set(this, params);
    },
  });
}

/** The engine writes only claims that its configuration names; an Action can set others. */
function patchIdTokenClaims(provider: Engine, claimsOf: EngineHooks['idTokenClaims']): void {
  const { prototype } = idTokenClassOf(provider);
  const { payload } = prototype;
  prototype.payload = async function patchedPayload() {
    const claims = await payload.call(this);
    // A logout token has no context; it gets no claims of the login, and real times.
    return this.ctx === undefined ? claims : claimsOf(this.ctx, claims);
  };
}

/** The engine computes `exp` of an ID token from the real clock. */
function patchIdTokenExpiry(provider: Engine, clock: EngineHooks['clock']): void {
  const IdToken = idTokenClassOf(provider);
  const { expiresIn } = IdToken;
  IdToken.expiresIn = (...args) => expiresIn.apply(IdToken, args) + clock.seconds;
}

/** The engine adds `sid` only for clients with a back-channel logout, Auth0 for all. */
function patchSid(provider: Engine): void {
  provider.Client.prototype.includeSid = () => true;
}

/**
 * Sends logout tokens to several receivers, and to private addresses too, which the engine refuses: all are
 * from the tenant file. Within Jest the engine cannot resolve addresses. Only the status of the answer counts
 * (OpenID Connect Back-Channel Logout §2.5). Only the first attempt delays the answer to the user.
 */
function patchBackchannelLogout(
  provider: Engine,
  { logoutReceivers: receiversOf, isListening }: EngineHooks,
): void {
  const IdToken = idTokenClassOf(provider);
  const prototype = provider.Client.prototype as LogoutClient;
  const events: EventEmitter = provider;
  prototype.backchannelLogout = async function patchedBackchannelLogout(
    this: LogoutClient,
    sub,
    sid,
  ) {
    const token = new IdToken({ sub }, { client: this, ctx: undefined });
    token.mask = { sub: null };
    token.set('events', { [LOGOUT_EVENT]: {} });
    token.set('jti', randomUUID());
    token.set('sid', sid);
    const logoutToken = await token.issue({ use: 'logout' });
    const sendAgain = async (send: () => Promise<void>) => {
      if (!isListening()) return;
      await send().then(
        () => events.emit('backchannel.success', undefined, this, sub, sid),
        (error) => events.emit('backchannel.error', undefined, error, this, sub, sid),
      );
    };
    const sendings = receiversOf(this.clientId).map((url) =>
      sendLogoutToken(url, logoutToken, sendAgain),
    );
    const failed = (await Promise.allSettled(sendings)).find(({ status }) => status === 'rejected');
    if (failed) throw (failed as PromiseRejectedResult).reason;
  };
}

/** Actions and rules decide the scope last. When `save` begins, the engine has set it. */
function patchAccessTokenScope(provider: Engine, scopeOf: EngineHooks['accessTokenScope']): void {
  const prototype = provider.AccessToken.prototype as AccessToken;
  const { save } = prototype;
  prototype.save = function patchedSave(this: AccessToken, ...ttl) {
    const { ctx } = Provider;
    const scope = ctx === undefined ? this.scope : scopeOf(ctx, this.scope);
    if (scope !== this.scope) this.scope = scope;
    return save.apply(this, ttl);
  };
}

/** The engine binds each token of a request with a proof; at Auth0 the API decides. */
function patchBinding(provider: Engine, bindsTokens: EngineHooks['bindsTokens']): void {
  for (const { prototype } of [provider.AccessToken, provider.ClientCredentials]) {
    const token = prototype as Pick<AccessToken, 'save' | 'resourceServer'> & { jkt?: string };
    const { save } = token;
    token.save = function patchedSave(this: typeof token, ...ttl) {
      if (this.jkt !== undefined && !bindsTokens(this.resourceServer?.audience)) delete this.jkt;
      return save.apply(this as AccessToken, ttl);
    };
  }
}

/** The engine sends an unrotated refresh token again; Auth0 does not. */
function patchRefreshAnswer(provider: Engine): void {
  provider.on('grant.success', ({ oidc, body }) => {
    const stays = oidc.params?.grant_type === 'refresh_token' && !oidc.entities.RotatedRefreshToken;
    if (stays) delete (body as { refresh_token?: string }).refresh_token;
  });
}

/** The engine refreshes for the API of the sign-in only. */
function patchRefreshResource(
  provider: Engine,
  { refreshRequested, chosenResource }: EngineHooks,
): void {
  const { RefreshToken } = provider;
  const { find } = RefreshToken;
  RefreshToken.find = async function patchedFind(this: typeof RefreshToken, ...args: unknown[]) {
    const token = await (find as (...args: unknown[]) => Promise<unknown>).apply(this, args);
    const { ctx } = Provider;
    if (token !== undefined && ctx?.oidc.params?.grant_type === 'refresh_token')
      refreshRequested(ctx);
    return token;
  } as typeof find;
  const { prototype } = RefreshToken;
  const own = inheritedGetter(prototype, 'resourceIndicators');
  Object.defineProperty(prototype, 'resourceIndicators', {
    get(this: object) {
      const chosen = Provider.ctx && chosenResource(Provider.ctx);
      return new Set([
        ...(own.call(this) as Set<string>),
        ...(chosen === undefined ? [] : [chosen]),
      ]);
    },
  });
}

/** The engine reports a response type without its grant as an invalid request; Auth0 names the grant. */
function patchResponseTypes(provider: Engine): void {
  const { prototype } = provider.Client;
  const { responseTypeAllowed } = prototype;
  prototype.responseTypeAllowed = function patchedResponseTypeAllowed(this: Client, type) {
    if (responseTypeAllowed.call(this, type)) return true;
    const grantType = type === 'code' ? 'authorization_code' : 'implicit';
    throw new errors.UnauthorizedClient(`Grant type '${grantType}' not allowed for the client.`);
  };
}

function inheritedGetter(prototype: object, name: string): () => unknown {
  const found = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  return found ?? inheritedGetter(Object.getPrototypeOf(prototype) as object, name);
}

/** The engine compares URLs as texts; URLs of Auth0 can have placeholders. */
function patchAllowedUrls(provider: Engine, { isCallback, isLogoutUrl }: EngineHooks): void {
  const { prototype } = provider.Client;
  const { redirectUriAllowed, postLogoutRedirectUriAllowed } = prototype;
  prototype.redirectUriAllowed = function patchedRedirectUriAllowed(this: Client, url) {
    if (hasPlaceholder(url)) return false;
    if (redirectUriAllowed.call(this, url)) return true;
    const { query, oidc } = Provider.ctx ?? {};
    return isCallback(this.clientId, url, (oidc?.params ?? query)?.organization);
  };
  prototype.postLogoutRedirectUriAllowed = function patchedLogoutUriAllowed(this: Client, url) {
    if (hasPlaceholder(url)) return false;
    return postLogoutRedirectUriAllowed.call(this, url) || isLogoutUrl(this.clientId, url);
  };
}

function idTokenClassOf(provider: Engine): EngineIdTokenClass {
  return provider.IdToken as unknown as EngineIdTokenClass;
}
