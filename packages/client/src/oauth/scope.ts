// RFC 6749 §3.3.
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** Reports whether a value is a scope parameter, which may be empty. */
export function isScopeParameter(value: unknown): value is string {
  return typeof value === 'string' && [...scopesOf(value)].every((one) => SCOPE.test(one));
}

/** Returns the scopes in a scope parameter (RFC 6749 §3.3): a set, their order says nothing. */
export function scopesOf(scope: string): Set<string> {
  return new Set(scope.split(' ').filter((one) => one !== ''));
}

/** Returns the scopes of `needed` that `granted` lacks. */
export function missingScopes(needed: string, granted: string): string[] {
  const has = scopesOf(granted);
  return [...scopesOf(needed)].filter((one) => !has.has(one));
}

export function isSameScope(one: string, other: string): boolean {
  return missingScopes(one, other).length === 0 && missingScopes(other, one).length === 0;
}

/** Returns a scope parameter of scopes that an app names. @throws TypeError when one is none */
export function scopeParameter(scope: string | readonly string[]): string {
  const parts = [scope].flat();
  if (parts.every(isScopeParameter)) return unionOfScopes(...parts);
  throw new TypeError('"scope" must be scopes: a list, or a string with spaces between them');
}

/** Joins several scope parameters, in the order of the scopes' first appearance. */
export function unionOfScopes(...scopes: (string | undefined)[]): string {
  return [...scopesOf(scopes.filter((one) => one !== undefined).join(' '))].join(' ');
}

/** Returns a scope parameter that another party wrote, without what can't be a scope. */
export function foreignScope(scope: string): string {
  return [...scopesOf(scope)].filter((one) => SCOPE.test(one)).join(' ');
}
