import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import Router from '@koa/router';
import type { Context } from 'koa';
import type { ComponentChildren, VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';

interface LayoutProps {
  readonly title: string;
  readonly tenantName: string;
  /** Default: the title. */
  readonly heading?: string;
  /** Text below the heading. */
  readonly lead?: ComponentChildren;
  readonly sign?: string;
  readonly wide?: boolean;
  readonly children?: ComponentChildren;
}

/** Page with one card and, below it, the name of the tenant. */
export function Layout(props: LayoutProps): VNode {
  const { title, tenantName, heading = title, lead, sign, wide = false, children } = props;
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${title} · ${tenantName}`}</title>
        <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/pico.min.css" />
        <link rel="stylesheet" href="/assets/style.css" />
      </head>
      <body>
        <main class={wide ? 'page page-wide' : 'page'}>
          <article class="card">
            <header class="card-head">
              {sign && (
                <span class="sign" aria-hidden="true">
                  {sign}
                </span>
              )}
              <h1>{heading}</h1>
              {lead && <p>{lead}</p>}
            </header>
            {children}
          </article>
          <footer class="mark">
            <img src="/assets/icon.svg" alt="" width="16" height="16" />
            <span>{tenantName}</span>
            <span class="mark-kind">local authorization server</span>
          </footer>
        </main>
      </body>
    </html>
  );
}

/** Text of a fault above a form, whose wrong field refers to it with `aria-describedby="fault"`. */
export function FaultText({ text }: { readonly text: string | undefined }): VNode | null {
  if (!text) return null;
  return (
    <p class="fault" role="alert" id="fault">
      {text}
    </p>
  );
}

/** @param status default: the one that the context has. */
export function showPage(
  ctx: Pick<Context, 'status' | 'type' | 'body'>,
  page: VNode,
  status?: number,
): void {
  if (status !== undefined) ctx.status = status;
  ctx.type = 'html';
  ctx.body = `<!DOCTYPE html>${renderToString(page)}`;
}

const own = (name: string): Buffer =>
  readFileSync(new URL(`../../public/${name}`, import.meta.url));

/** Serves the stylesheets, the icon and the one script, from memory. */
export function assetRoutes(): Router {
  const router = new Router();
  const require = createRequire(import.meta.url);
  const assets = {
    'pico.min.css': readFileSync(require.resolve('@picocss/pico/css/pico.min.css')),
    'style.css': own('style.css'),
    'icon.svg': own('icon.svg'),
    'web-message.js': own('web-message.js'),
  };
  for (const [name, content] of Object.entries(assets)) {
    router.get(`/assets/${name}`, (ctx) => {
      ctx.set('cache-control', 'public, max-age=3600');
      ctx.type = name.slice(name.lastIndexOf('.'));
      ctx.body = content;
    });
  }
  // Browsers ask for it at pages without an icon of their own, such as the metadata.
  router.get('/favicon.ico', (ctx) => ctx.redirect('/assets/icon.svg'));
  return router;
}
