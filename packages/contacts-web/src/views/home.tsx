import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Avatar, Layout } from './layout.tsx';

interface HomePageProps {
  readonly user: SignedInUser | undefined;
  readonly issuerBaseURL: string;
  readonly apiBaseURL: string;
}

const SAMPLE_CONTACTS = [
  ['Mary Somerville', 'Mechanism of the Heavens'],
  ['Ibn Battuta', 'Long Journeys'],
  ['Lise Meitner', 'Institute of Physics'],
] as const;

export function HomePage({ user, issuerBaseURL, apiBaseURL }: HomePageProps): VNode {
  const title = user ? 'Welcome · Contacts' : 'Contacts – sign in to your team’s address book';
  return (
    <Layout title={title} user={user}>
      {user ? <Greeting user={user} /> : <Invitation />}
      <section aria-labelledby="how">
        <h2 id="how">How you get to your contacts</h2>
        <ol class="steps">
          <li>
            <h3>You sign in elsewhere</h3>
            <p>
              This app never sees your password. It sends you to the authorization server and gets a
              one-time code back.
            </p>
            <code>{issuerBaseURL}</code>
          </li>
          <li>
            <h3>The app fetches your tokens</h3>
            <p>
              It exchanges the code for an ID token, verifies it, and stores your session on the
              server.
            </p>
            <code>authorization code + PKCE</code>
          </li>
          <li>
            <h3>The API decides</h3>
            <p>
              Each request carries an access token. The API looks at its scopes and your
              organization, and returns only what you may see.
            </p>
            <code>{apiBaseURL}</code>
          </li>
        </ol>
      </section>
    </Layout>
  );
}

function Invitation() {
  return (
    <section class="hero pictured">
      <div>
        <h1>Everyone your team works with, in one place</h1>
        <p class="lead">
          A shared address book for your organization. Sign in to see it. Your role decides what you
          may change.
        </p>
        <p>
          <a class="button large" href="/login?returnTo=/contacts">
            Sign in
          </a>
        </p>
      </div>
      <ul class="picture" aria-hidden="true">
        {SAMPLE_CONTACTS.map(([name, company]) => (
          <li key={name}>
            <Avatar name={name} />
            <span>
              <strong>{name}</strong>
              <small>{company}</small>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Greeting({ user }: { user: SignedInUser }) {
  return (
    <section class="hero">
      <h1>{`Welcome, ${user.name}`}</h1>
      <p class="lead">
        You are signed in
        {user.email && (
          <>
            {' as '}
            <strong>{user.email}</strong>
          </>
        )}
        {user.organization && (
          <>
            {' for the organization '}
            <strong>{user.organization}</strong>
          </>
        )}
        .
      </p>
      <p>
        <a class="button large" href="/contacts">
          Open your contacts
        </a>
      </p>
    </section>
  );
}

export function LogoutPage({ user }: { user: SignedInUser | undefined }): VNode {
  return (
    <Layout title="Sign out · Contacts" user={user}>
      <section class="card narrow">
        <h1>{user ? 'Sign out?' : 'You are signed out'}</h1>
        <p>
          {user
            ? `You are signed in as ${user.name}. Signing out ends your session here and at the authorization server.`
            : 'There is no session in this browser.'}
        </p>
        {user ? (
          <form class="actions" method="post" action="/logout">
            <button type="submit">Sign out</button>
            <a class="button outline" href="/contacts">
              Stay signed in
            </a>
          </form>
        ) : (
          <p class="actions">
            <a class="button" href="/login?returnTo=/contacts">
              Sign in
            </a>
          </p>
        )}
      </section>
    </Layout>
  );
}
