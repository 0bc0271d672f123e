import type { VNode } from 'preact';
import type { ErrorText } from '../error-text.ts';
import type { SignedInUser } from '../signed-in-user.ts';
import { Layout } from './layout.tsx';

interface ErrorPageProps extends ErrorText {
  readonly user: SignedInUser | undefined;
  readonly status: number;
  readonly code: string;
  /** The request's id, which is in the log. */
  readonly reference: string;
}

export function ErrorPage(props: ErrorPageProps): VNode {
  const { user, status, code, reference, title, what, quote, lost, todo, action } = props;
  return (
    <Layout title={`${title} · Contacts`} user={user}>
      <section class="card narrow error">
        <p class="status">{status}</p>
        <h1>{title}</h1>
        <p>{what}</p>
        {quote && (
          <blockquote>
            {quote}
            <footer>
              <cite>the authorization server</cite>
            </footer>
          </blockquote>
        )}
        <p>{`${lost} ${todo}`}</p>
        <div class="actions">
          <ActionButton {...action} />
        </div>
        <dl class="reference">
          <div>
            <dt>Reference</dt>
            <dd>
              <code>{reference}</code>
            </dd>
          </div>
          {code && (
            <div>
              <dt>Code</dt>
              <dd>
                <code>{code}</code>
              </dd>
            </div>
          )}
        </dl>
      </section>
    </Layout>
  );
}

function ActionButton({ label, href, fields }: ErrorText['action']) {
  if (!fields) {
    return (
      <a class="button" href={href}>
        {label}
      </a>
    );
  }
  return (
    <form method="post" action={href}>
      {Object.entries(fields).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      <button type="submit">{label}</button>
    </form>
  );
}
