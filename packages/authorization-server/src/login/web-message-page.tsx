import { toPage } from '../views/layout.tsx';

interface WebMessagePageProps {
  /** What the callback would have as its query. */
  readonly response: Readonly<Record<string, unknown>>;
  /** Who alone may read it. */
  readonly origin: string;
}

/** Nobody sees it: its script hands the answer on. */
export function webMessagePage({ response, origin }: WebMessagePageProps): string {
  return toPage(
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <title>Answer</title>
      </head>
      <body>
        <script
          src="/assets/web-message.js"
          data-response={JSON.stringify(response)}
          data-origin={origin}
        />
      </body>
    </html>,
  );
}
