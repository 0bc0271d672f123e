import type { VNode } from 'preact';

/** Permission of a user: one of the API's scopes. */
export interface Permission {
  readonly scope: string;
  /** Verb and object, such as "see contacts". */
  readonly verb: string;
  readonly granted: boolean;
  /** True when the sign-in requested it. If it was refused then, the user has no role with it. */
  readonly asked: boolean;
}

const VERBS: Readonly<Record<string, string>> = {
  'read:contacts': 'see contacts',
  'create:contacts': 'add contacts',
  'update:contacts': 'change contacts',
  'delete:contacts': 'delete contacts',
  'read:activity': 'see who changed what',
};

/** @param scopes granted and requested scopes of the access token, each separated by spaces */
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

/** Finds the permission for a scope. The API may name a scope that this app does not know. */
export function permissionFor(permissions: readonly Permission[], scope: string): Permission {
  const known = permissions.find((permission) => permission.scope === scope);
  return known ?? { scope, verb: 'do this', granted: false, asked: false };
}

export function isKnownScope(scope: string): boolean {
  return Object.hasOwn(VERBS, scope);
}

interface PermissionNoticeProps {
  readonly permission: Permission;
  readonly organization: string | undefined;
  readonly returnTo: string;
  /** Sentence about the input that the form keeps. */
  readonly kept?: string | undefined;
}

/** Notice about a missing scope: its name, who can grant it, and a button if asking can help. */
export function PermissionNotice(props: PermissionNoticeProps): VNode {
  const { permission, organization, returnTo, kept } = props;
  return (
    <div class="notice bad" role="alert">
      <h2>{`You may not ${permission.verb}`}</h2>
      <p>
        The API refused. You need the scope <code>{permission.scope}</code> for this, and you do not
        have it.
      </p>
      {kept && <p>{`Nothing was saved. ${kept}`}</p>}
      {isKnownScope(permission.scope) ? (
        <>
          <p>{whoCanGrant(permission, organization)}</p>
          <AskFor permission={permission} returnTo={returnTo} />
        </>
      ) : (
        <p>This app cannot request this scope. Please ask the operator of this app.</p>
      )}
    </div>
  );
}

export interface PermissionsProps extends Pick<PermissionNoticeProps, 'organization' | 'returnTo'> {
  readonly permissions: readonly Permission[];
}

/** List of all permissions, granted or not. Empty when all are granted. */
export function Permissions(props: PermissionsProps): VNode | null {
  const { permissions, organization, returnTo } = props;
  const missing = permissions.filter(({ granted }) => !granted);
  if (missing.length === 0) return null;
  const reasons = new Set(missing.map((permission) => whoCanGrant(permission, organization)));
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

/** Button that requests a scope. Asking again would not help: the sign-in requested it already. */
function AskFor({ permission, returnTo }: { permission: Permission; returnTo: string }) {
  if (permission.asked) return null;
  return (
    <form class="ask" method="post" action="/permissions">
      <input type="hidden" name="scope" value={permission.scope} />
      <input type="hidden" name="returnTo" value={returnTo} />
      <button class="quiet" type="submit" aria-label={`Ask for it: ${permission.scope}`}>
        Ask for it
      </button>
    </form>
  );
}

interface AskedNoticeProps extends Pick<PermissionNoticeProps, 'organization'> {
  /** Requested permission. Undefined when the page is not the answer to a request. */
  readonly permission: Permission | undefined;
}

/** Result of a request for a permission. */
export function AskedNotice({ permission, organization }: AskedNoticeProps): VNode | null {
  if (!permission) return null;
  const { scope, verb, granted, asked } = permission;
  if (granted) {
    return <p class="notice good" role="status">{`You may now ${verb}.`}</p>;
  }
  // The address can be made up.
  if (!asked) return null;
  return (
    <div class="notice bad" role="status">
      <h2>{`You still may not ${verb}`}</h2>
      <p>
        This app asked for the scope <code>{scope}</code>, and it was not granted.
      </p>
      <p>{whoCanGrant(permission, organization)}</p>
    </div>
  );
}

function whoCanGrant({ asked }: Permission, organization: string | undefined): string {
  const ofOrganization = organization ? ` of ${organization}` : '';
  return asked
    ? `None of your roles allows this. An administrator${ofOrganization} can give you a role that does. Then sign in again.`
    : 'This app has not asked for this permission yet. You can grant it yourself.';
}
