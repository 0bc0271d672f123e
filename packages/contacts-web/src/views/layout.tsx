import type { Context } from 'koa';
import type { ComponentChildren, VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { assetURL } from '../assets.ts';
import type { SignedInUser } from '../signed-in-user.ts';

/** Classes `tint-0` to `tint-5` in contacts.css. */
const TINT_COUNT = 6;

/** Answers with a page. The renderer escapes all text. */
export function render(ctx: Pick<Context, 'type' | 'body'>, page: VNode): void {
  ctx.type = 'html';
  ctx.body = `<!doctype html>${renderToString(page)}`;
}

interface LayoutProps {
  /** Title of the browser tab, with the name of the app. */
  readonly title: string;
  readonly user: SignedInUser | undefined;
  /** Entry of the navigation that leads to this page. */
  readonly current?: 'contacts' | 'session';
  readonly children: ComponentChildren;
}

/** Frame of all pages: head, navigation and footer. */
export function Layout({ title, user, current, children }: LayoutProps): VNode {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{title}</title>
        <link rel="icon" href={assetURL('mark.svg')} type="image/svg+xml" />
        <link rel="stylesheet" href={assetURL('pico.css')} />
        <link rel="stylesheet" href={assetURL('contacts.css')} />
        <script src={assetURL('contacts.js')} defer />
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <header class="site-header">
          <div class="site-bar">
            <a class="brand" href="/">
              <img src={assetURL('mark.svg')} alt="" width="32" height="32" />
              <span>Contacts</span>
            </a>
            {user ? (
              <SignedIn user={user} current={current} />
            ) : (
              <a class="button small" href="/login?returnTo=/contacts">
                Sign in
              </a>
            )}
          </div>
        </header>
        <main id="main" class="site-main" tabIndex={-1}>
          {children}
        </main>
        <footer class="site-footer">
          <p>
            A demonstration of the OAuth 2.0 authorization code flow.{' '}
            {current === 'session'
              ? 'Only this page may show tokens, and only in development.'
              : 'Tokens stay on the server. This page contains none.'}
          </p>
        </footer>
      </body>
    </html>
  );
}

function SignedIn({ user, current }: Pick<LayoutProps, 'current'> & { user: SignedInUser }) {
  return (
    <>
      <nav aria-label="Main">
        <a href="/contacts" aria-current={current === 'contacts' ? 'page' : undefined}>
          <span class="on-wide">All contacts</span>
          <span class="on-narrow">Contacts</span>
        </a>
        <a href="/session" aria-current={current === 'session' ? 'page' : undefined}>
          Session
        </a>
      </nav>
      <div class="signed-in">
        <Avatar name={user.name} />
        <p>
          <strong>{user.name}</strong>
          {user.organization && <span class="organization">{user.organization}</span>}
        </p>
        <form method="post" action="/logout">
          <button class="quiet" type="submit">
            Sign out
          </button>
        </form>
      </div>
    </>
  );
}

/** Initials of a name on a color that depends on the name. Decoration only. */
export function Avatar({ name }: { name: string }): VNode {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return (
    <span class={`avatar tint-${sum % TINT_COUNT}`} aria-hidden="true">
      {initials(name)}
    </span>
  );
}

// Scripts whose letters join. Two initials would read as one word.
const JOINING =
  /[\p{scx=Arabic}\p{scx=Syriac}\p{scx=Nko}\p{scx=Mongolian}\p{scx=Adlam}\p{scx=Hanifi_Rohingya}]/u;

/** Returns the first letters of the first and the last word, or only the first where letters join. */
export function initials(name: string): string {
  const words = name.split(/[\s@]+/u).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const [first = '', last = ''] = [words[0], words.length > 1 ? words.at(-1) : ''];
  const letters = [[...first][0] ?? '?', [...last][0] ?? ''];
  return letters
    .slice(0, JOINING.test(letters.join('')) ? 1 : 2)
    .join('')
    .toUpperCase();
}
