import { Layout, toPage } from './layout.tsx';

interface ErrorPageProps {
  readonly tenantName: string;
  readonly title: string;
  readonly text: string;
  /** The error code of the protocol, for a developer. */
  readonly code?: string | undefined;
}

export function errorPage({ tenantName, title, text, code }: ErrorPageProps): string {
  return toPage(
    <Layout title={title} tenantName={tenantName}>
      <header class="card-head">
        <span class="sign" aria-hidden="true">
          !
        </span>
        <h1>{title}</h1>
      </header>
      <p class="error-text">{text}</p>
      {code && (
        <p class="error-code">
          <code>{code}</code>
        </p>
      )}
    </Layout>,
  );
}
