import { Layout, toPage } from './layout.tsx';

interface ErrorPageProps {
  readonly tenantName: string;
  readonly title: string;
  readonly text: string;
  /** The error code of the protocol, for a developer. */
  readonly code?: string | undefined;
  /** Name of the failure in the log of this server. */
  readonly reference?: string | undefined;
  readonly back?: { readonly href: string; readonly text: string } | undefined;
}

export function errorPage(props: ErrorPageProps): string {
  const { tenantName, title, text, code, reference, back } = props;
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
      {reference && (
        <p class="error-code">
          Reference <code>{reference}</code>
        </p>
      )}
      {back && (
        <p class="error-text">
          <a href={back.href}>{back.text}</a>
        </p>
      )}
    </Layout>,
  );
}
