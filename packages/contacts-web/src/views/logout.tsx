import type { VNode } from 'preact';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from './layout.tsx';

export function LogoutPage({ user }: { user: SignedInUser | undefined }): VNode {
  return (
    <Layout title="Sign out · Contacts" user={user}>
      <section class="card narrow">{user ? <Question name={user.name} /> : <NobodyHere />}</section>
    </Layout>
  );
}

function Question({ name }: { name: string }) {
  return (
    <>
      <h1>Sign out?</h1>
      <p>{`You are signed in as ${name}. Signing out ends your session here and at the authorization server.`}</p>
      <form class="actions" method="post" action="/logout">
        <button type="submit">Sign out</button>
        <a class="button outline" href="/contacts">
          Stay signed in
        </a>
      </form>
    </>
  );
}

function NobodyHere() {
  return (
    <>
      <h1>You are signed out</h1>
      <p>There is no session in this browser.</p>
      <p class="actions">
        <a class="button" href="/login?returnTo=/contacts">
          Sign in
        </a>
      </p>
    </>
  );
}
