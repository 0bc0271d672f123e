import type { VNode } from 'preact';
import type { Connection } from '../tenant/connection-schema.ts';
import type { User } from '../tenant/tenant.ts';
import { FaultText, Layout } from '../views/layout.tsx';

interface LoginPageProps {
  readonly tenantName: string;
  readonly applicationName: string;
  readonly uid: string;
  readonly passwords: boolean;
  readonly connections: readonly Connection[];
  /** Users with a readable password, who sign in with one click. */
  readonly users: readonly User[];
  readonly typed: string;
  readonly fault?: string | undefined;
}

/**
 * Page of the sign-in. Its form and each user's button post `username` and `password` to its own
 * address; the buttons of identity providers post `connection` to `/u/login/ID/connection`.
 */
export function loginPage(props: LoginPageProps): VNode {
  const { tenantName, applicationName, uid, passwords, connections, users, typed, fault } = props;
  const lead = (
    <>
      to continue to <strong>{applicationName}</strong>
    </>
  );
  return (
    <Layout title="Sign in" tenantName={tenantName} lead={lead}>
      <FaultText text={fault} />
      {passwords && <PasswordForm typed={typed} fault={fault} />}
      {connections.length > 0 && <ConnectionButtons uid={uid} connections={connections} />}
      {users.length > 0 && <UserButtons users={users} />}
    </Layout>
  );
}

function PasswordForm({ typed, fault }: Pick<LoginPageProps, 'typed' | 'fault'>): VNode {
  return (
    <form method="post" class="fields">
      <label>
        E-mail address
        <input
          // Browsers accept only ASCII before the @ in an input of the type email.
          inputmode="email"
          name="username"
          value={typed}
          autocomplete="username"
          required
          autofocus={typed === ''}
          aria-describedby={fault && 'fault'}
        />
      </label>
      <label>
        Password
        <input
          type="password"
          name="password"
          autocomplete="current-password"
          required
          autofocus={typed !== ''}
          aria-invalid={fault ? 'true' : undefined}
          aria-describedby={fault && 'fault'}
        />
      </label>
      <button type="submit">Continue</button>
    </form>
  );
}

function ConnectionButtons({
  uid,
  connections,
}: Pick<LoginPageProps, 'uid' | 'connections'>): VNode {
  return (
    <form method="post" action={`/u/login/${uid}/connection`} class="connections">
      {connections.map(({ name, display_name: label = name }) => (
        <button key={name} type="submit" name="connection" value={name} class="quiet">
          Continue with {label}
        </button>
      ))}
    </form>
  );
}

function UserButtons({ users }: Pick<LoginPageProps, 'users'>): VNode {
  return (
    <section class="users" aria-labelledby="users-title">
      <h2 id="users-title" class="rule">
        <span>or continue as</span>
      </h2>
      <ul>
        {users.map((user) => (
          <li key={user.user_id}>
            <UserButton user={user} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Contains the password: this development server also prints it at the start. */
function UserButton({ user }: { readonly user: User }): VNode {
  return (
    <form method="post">
      <input type="hidden" name="username" value={user.email} />
      <input type="hidden" name="password" value={user.password} />
      <button type="submit" class="user">
        <UserMark user={user} />
      </button>
    </form>
  );
}

export function UserMark({ user }: { readonly user: User }): VNode {
  const organization = user.app_metadata.org_id;
  const facts = [...user.roles, ...(typeof organization === 'string' ? [organization] : [])];
  return (
    <>
      <span class={`avatar hue-${hueOf(user.user_id)}`} aria-hidden="true">
        {initialsOf(user.name)}
      </span>
      <span class="user-text">
        <span class="user-name">{user.name}</span>
        <span class="user-facts">{facts.join(' · ') || user.email}</span>
      </span>
    </>
  );
}

// Scripts whose letters join. Two initials would read as one word.
const JOINING =
  /[\p{scx=Arabic}\p{scx=Syriac}\p{scx=Nko}\p{scx=Mongolian}\p{scx=Adlam}\p{scx=Hanifi_Rohingya}]/u;

function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  const ends = words.length > 1 && !JOINING.test(name) ? [words[0], words.at(-1)] : [words[0]];
  return ends.map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '').join('');
}

/** Returns one of the stylesheet's six colors, always the same for a user. */
function hueOf(userId: string): number {
  return [...userId].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7) % 6;
}
