import type { VNode } from 'preact';
import { Layout } from '../views/layout.tsx';
import type { AskedScopes } from './grants.ts';
import { UserMark } from './login-page.tsx';

const OIDC_DESCRIPTIONS: Readonly<Record<string, string>> = {
  openid: 'Know that it is you',
  profile: 'See your name and profile',
  email: 'See your e-mail address',
  offline_access: 'Stay signed in while you are away',
};

/** Page that asks for consent; it posts `action` (`accept`, `decline`, `switch`) to its own address. */
export function consentPage(tenantName: string, asked: AskedScopes): VNode {
  const { application, user, api } = asked;
  const apiScopes = asked.allowed.map((scope) => ({
    scope,
    words: api?.scopes.find(({ value }) => value === scope)?.description ?? describeScope(scope),
  }));
  const userScopes = asked.oidc.map((scope) => ({
    scope,
    words: OIDC_DESCRIPTIONS[scope] ?? scope,
  }));
  return (
    <Layout
      title="Authorize"
      tenantName={tenantName}
      heading={`Authorize ${application.name}`}
      lead="to act on your behalf"
    >
      <div class="signed-in">
        <UserMark user={user} />
      </div>
      <ScopeList heading="About you" entries={userScopes} />
      <ScopeList heading={`In ${api?.name ?? 'the API'}`} entries={apiScopes} />
      <form method="post" class="answers">
        <button type="submit" name="action" value="accept">
          Accept
        </button>
        <button type="submit" name="action" value="decline" class="quiet">
          Decline
        </button>
        <button type="submit" name="action" value="switch" class="quiet">
          Use another account
        </button>
      </form>
    </Layout>
  );
}

interface ScopeListProps {
  readonly heading: string;
  readonly entries: readonly { readonly scope: string; readonly words: string }[];
}

function ScopeList({ heading, entries }: ScopeListProps) {
  if (entries.length === 0) return null;
  return (
    <section class="scopes">
      <h2>{heading}</h2>
      <ul>
        {entries.map(({ scope, words }) => (
          <li key={scope}>
            <span class="scope-words">{words}</span>
            <code>{scope}</code>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Describes a scope without a description as Auth0 does: `read:contacts` is "Contacts: read". */
function describeScope(scope: string): string {
  const [action, resource] = scope.split(':');
  if (!action || !resource) return scope;
  return `${resource.charAt(0).toUpperCase()}${resource.slice(1)}: ${action}`;
}
