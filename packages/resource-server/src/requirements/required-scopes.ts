import { InvalidOptions } from '@koa-oauth/issuer';
import type { Middleware } from 'koa';
import { AuthError, InsufficientScopeError } from '../errors.ts';
import type { AccessTokenClaims } from '../token/jwt-access-token.ts';

/** The scopes a token grants (RFC 6749 §3.3: a list of case-sensitive words). */
export function grantedScopes({ scope }: Pick<AccessTokenClaims, 'scope'>): string[] {
  return scope ? scope.split(' ').filter(Boolean) : [];
}

/**
 * Lets in a token that grants all of the scopes.
 *
 * @param scopes a list, or one string with spaces between them
 * @throws InsufficientScopeError (403) naming what is needed; AuthError `ERR_MISSING_TOKEN` (401) without `auth`
 */
export function requiredScopes(scopes: string | readonly string[]): Middleware {
  const needed = parseScopes(scopes);
  return async function requiredScopes(ctx, next) {
    const granted = grantedScopes(payloadOf(ctx.state.auth));
    if (!needed.every((scope) => granted.includes(scope))) throw new InsufficientScopeError(needed);
    await next();
  };
}

/** Lets in a token that grants one of the scopes, at least. @throws as `requiredScopes` */
export function scopeIncludesAny(scopes: string | readonly string[]): Middleware {
  const needed = parseScopes(scopes);
  return async function scopeIncludesAny(ctx, next) {
    const granted = grantedScopes(payloadOf(ctx.state.auth));
    if (!needed.some((scope) => granted.includes(scope))) throw new InsufficientScopeError(needed);
    await next();
  };
}

/**
 * Lets in a token whose `permissions` claim has all of these: what Auth0 puts there when its RBAC
 * is on, whichever scopes were asked for.
 *
 * @throws as `requiredScopes`
 */
export function requiredPermissions(permissions: string | readonly string[]): Middleware {
  const needed = parseScopes(permissions);
  return async function requiredPermissions(ctx, next) {
    const { permissions } = payloadOf(ctx.state.auth);
    const held: readonly unknown[] = Array.isArray(permissions) ? permissions : [];
    if (!needed.every((name) => held.includes(name))) throw new InsufficientScopeError(needed);
    await next();
  };
}

function parseScopes(scopes: string | readonly string[]): readonly string[] {
  const list = typeof scopes === 'string' ? scopes.split(' ').filter(Boolean) : [...scopes];
  if (list.length === 0) throw new InvalidOptions('name at least one scope');
  if (list.some((scope) => typeof scope !== 'string' || !/^[^\s"\\]+$/.test(scope)))
    throw new InvalidOptions('a scope is one word (RFC 6749 §3.3)');
  return list;
}

function payloadOf(auth: { payload: AccessTokenClaims } | undefined): AccessTokenClaims {
  if (!auth) throw new AuthError('ERR_MISSING_TOKEN');
  return auth.payload;
}
