import { InvalidOptions } from '@koa-oauth/issuer';
import type { Context, Middleware } from 'koa';
import { AuthError, InsufficientScopeError } from '../errors.ts';
import type { Auth } from '../token/verified-tokens.ts';

/**
 * Lets in a token that grants all of the scopes.
 *
 * @param scopes a list, or one string with spaces between them
 * @throws InsufficientScopeError (403) that names the scopes; AuthError `ERR_MISSING_TOKEN` (401)
 *   without a token, where the challenge names them too
 * @example
 * router.get('/orders', requiredScopes('read:orders'), listOrders);
 */
export function requiredScopes(scopes: string | readonly string[]): Middleware {
  const needed = parseScopes('requiredScopes', scopes);
  return async function requiredScopes(ctx, next) {
    const { scopes } = authOf(ctx, needed);
    if (!needed.every((scope) => scopes.includes(scope))) throw new InsufficientScopeError(needed);
    await next();
  };
}

/**
 * Lets in a token that grants at least one of the scopes.
 *
 * @throws as `requiredScopes`
 * @example
 * router.get('/orders', scopeIncludesAny('read:orders admin:orders'), listOrders);
 */
export function scopeIncludesAny(scopes: string | readonly string[]): Middleware {
  const needed = parseScopes('scopeIncludesAny', scopes);
  return async function scopeIncludesAny(ctx, next) {
    const { scopes } = authOf(ctx, needed);
    if (!needed.some((scope) => scopes.includes(scope))) throw new InsufficientScopeError(needed);
    await next();
  };
}

/**
 * Lets in a token whose claim `permissions` has all of these. Auth0 sets this claim when RBAC is on for
 * the API, whatever scopes the client requested.
 *
 * @throws as `requiredScopes`
 * @example
 * router.get('/orders', requiredPermissions('read:orders'), listOrders);
 */
export function requiredPermissions(permissions: string | readonly string[]): Middleware {
  const needed = parseScopes('requiredPermissions', permissions);
  return async function requiredPermissions(ctx, next) {
    const { permissions } = authOf(ctx, needed).payload;
    const held: readonly unknown[] = Array.isArray(permissions) ? permissions : [];
    if (!needed.every((name) => held.includes(name))) throw new InsufficientScopeError(needed);
    await next();
  };
}

function parseScopes(name: string, scopes: string | readonly string[]): readonly string[] {
  const given = typeof scopes === 'string' ? scopes.split(' ').filter(Boolean) : scopes;
  const list = Array.isArray(given) ? [...given] : [];
  if (list.length === 0) {
    throw new InvalidOptions(`${name}: name at least one, as in ${name}('read:orders')`);
  }
  if (list.some((scope) => typeof scope !== 'string' || !/^[^\s"\\]+$/.test(scope))) {
    throw new InvalidOptions(`${name}: each must be one word (RFC 6749 §3.3)`);
  }
  return list;
}

/**
 * Returns the content of the request's token.
 *
 * @param scopes scopes for the challenge to a request without a token
 * @throws AuthError `ERR_MISSING_TOKEN` (401) without a token
 */
export function authOf({ state }: Context, scopes?: readonly string[]): Auth {
  if (!state.auth) throw new AuthError('ERR_MISSING_TOKEN', { scope: scopes?.join(' ') });
  return state.auth;
}
