/** What one of the API's scopes lets a user do. */
export interface Permission {
  readonly scope: string;
  /** "see contacts" */
  readonly verb: string;
  readonly granted: boolean;
  /** Whether the sign-in asked for it: if so and it was not granted, the user has no role with it. */
  readonly asked: boolean;
}

const VERBS: Readonly<Record<string, string>> = {
  'read:contacts': 'see contacts',
  'create:contacts': 'add contacts',
  'update:contacts': 'change contacts',
  'delete:contacts': 'delete contacts',
};

/** @param scopes of the access token: granted, and as asked for; each separated by spaces */
export function permissionsOf(scopes: { granted: string; asked: string }): Permission[] {
  const granted = scopes.granted.split(' ');
  const asked = scopes.asked.split(' ');
  return Object.entries(VERBS).map(([scope, verb]) => ({
    scope,
    verb,
    granted: granted.includes(scope),
    asked: asked.includes(scope),
  }));
}

/** The permission that a scope is; one that this app does not know too, as the API may name any. */
export function permissionFor(permissions: readonly Permission[], scope: string): Permission {
  const known = permissions.find((permission) => permission.scope === scope);
  return known ?? { scope, verb: 'do this', granted: false, asked: false };
}

export function isKnownScope(scope: string): boolean {
  return Object.hasOwn(VERBS, scope);
}
