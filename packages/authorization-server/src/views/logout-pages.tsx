import { Layout, toPage } from './layout.tsx';

/** Asks whether to sign out; posts `xsrf` and `logout=yes` to `/oidc/logout/confirm`. */
export function logoutConfirmPage({
  tenantName,
  xsrf,
}: {
  readonly tenantName: string;
  readonly xsrf: string;
}): string {
  return toPage(
    <Layout title="Sign out" tenantName={tenantName}>
      <header class="card-head">
        <h1>Sign out?</h1>
        <p>You will have to sign in again in every application of this tenant.</p>
      </header>
      <form method="post" action="/oidc/logout/confirm" class="answers">
        <input type="hidden" name="xsrf" value={xsrf} />
        <button type="submit" name="logout" value="yes">
          Sign out
        </button>
        <button type="submit" class="quiet">
          Stay signed in
        </button>
      </form>
    </Layout>,
  );
}

export function logoutDonePage({ tenantName }: { readonly tenantName: string }): string {
  return toPage(
    <Layout title="Signed out" tenantName={tenantName}>
      <header class="card-head">
        <h1>You are signed out</h1>
        <p>You can close this page.</p>
      </header>
    </Layout>,
  );
}
