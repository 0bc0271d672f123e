/** Changes that Actions and rules make to an access token's scope. */
export interface ScopeChanges {
  /** Replaces the granted scopes; only a rule sets it. */
  readonly only?: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

const NONE: ScopeChanges = { added: [], removed: [] };

/** RFC 6749 §3.3, `scope-token`. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

export function isScope(scope: unknown): scope is string {
  return typeof scope === 'string' && SCOPE.test(scope);
}

/** Returns the scopes in a parameter or claim; none when it is no text. */
export function splitScope(scope: unknown): string[] {
  return typeof scope === 'string' ? scope.split(' ').filter(Boolean) : [];
}

/** The last add or remove of a scope wins. */
export function addScope(changes: ScopeChanges = NONE, scope: string): ScopeChanges {
  const { added, removed } = without(changes, scope);
  return { ...changes, added: [...added, scope], removed };
}

export function removeScope(changes: ScopeChanges = NONE, scope: string): ScopeChanges {
  const { added, removed } = without(changes, scope);
  return { ...changes, added, removed: [...removed, scope] };
}

/** Applies the changes to a scope; undefined when nothing is left. */
export function changeScope(
  scope: string | undefined,
  { only, added, removed }: ScopeChanges = NONE,
): string | undefined {
  const granted = only ?? splitScope(scope);
  const scopes = new Set([...granted, ...added].filter((one) => !removed.includes(one)));
  return [...scopes].join(' ') || undefined;
}

function without({ added, removed }: ScopeChanges, scope: string): ScopeChanges {
  const isOther = (one: string): boolean => one !== scope;
  return { added: added.filter(isOther), removed: removed.filter(isOther) };
}
