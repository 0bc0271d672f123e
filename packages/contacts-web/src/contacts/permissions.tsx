import type { VNode } from 'preact';

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

interface PermissionNoticeProps {
  readonly permission: Permission;
  readonly organisation: string | undefined;
  /** The page to come back to. */
  readonly returnTo: string;
  /** What became of what was typed, when something was. */
  readonly kept?: string | undefined;
}

/** The API refused for want of a scope: which one, who could grant it, and a button to ask for it. */
export function PermissionNotice(props: PermissionNoticeProps): VNode {
  const { permission, organisation, returnTo, kept } = props;
  return (
    <div class="notice bad" role="alert">
      <h2>{`You may not ${permission.verb}`}</h2>
      <p>
        The API refused: this takes the scope <code>{permission.scope}</code> and your sign-in was
        not granted it.
      </p>
      {kept && <p>{`Nothing was saved. ${kept}`}</p>}
      {isKnownScope(permission.scope) ? (
        <>
          <p>{whoCanGrant(permission, organisation)}</p>
          <AskFor permission={permission} returnTo={returnTo} />
        </>
      ) : (
        <p>This app never asks for this scope: tell whoever runs it.</p>
      )}
    </div>
  );
}

/** What the session may do with the contacts, each with its scope. */
export function Permissions({
  permissions,
  organisation,
  returnTo,
}: {
  readonly permissions: readonly Permission[];
  readonly organisation: string | undefined;
  readonly returnTo: string;
}): VNode | null {
  const missing = permissions.filter(({ granted }) => !granted);
  if (missing.length === 0) return null;
  const reasons = new Set(missing.map((permission) => whoCanGrant(permission, organisation)));
  return (
    <section class="card permissions" aria-labelledby="permissions-heading">
      <h2 id="permissions-heading">What you may do here</h2>
      <ul>
        {permissions.map((permission) => (
          <li key={permission.scope} class={permission.granted ? 'may' : 'may-not'}>
            <span>{`${permission.granted ? 'You may' : 'You may not'} ${permission.verb}`}</span>
            <code>{permission.scope}</code>
            {!permission.granted && <AskFor permission={permission} returnTo={returnTo} />}
          </li>
        ))}
      </ul>
      {[...reasons].map((reason) => (
        <p key={reason}>{reason}</p>
      ))}
    </section>
  );
}

function AskFor({ permission, returnTo }: { permission: Permission; returnTo: string }) {
  const label = permission.asked ? 'Ask once more' : 'Ask for it';
  return (
    <form class="ask" method="post" action="/permissions">
      <input type="hidden" name="scope" value={permission.scope} />
      <input type="hidden" name="returnTo" value={returnTo} />
      <button class="quiet" type="submit" aria-label={`${label}: ${permission.scope}`}>
        {label}
      </button>
    </form>
  );
}

function whoCanGrant({ asked }: Permission, organisation: string | undefined): string {
  const whose = organisation ? ` of ${organisation}` : '';
  return asked
    ? `What was asked for and not granted, none of your roles has: an administrator${whose} can give you one that does.`
    : 'What this app has not asked for yet, you can grant yourself.';
}
