import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Router, { type RouterContext } from '@koa/router';
import type { Issuer } from '@koa-oauth/resource-server';
import { parseURL } from '@koa-oauth/service';
import { ApiError } from '../errors.ts';
import { SCOPES } from '../operation.ts';
import { type DocumentOptions, openApiDocument } from './openapi.ts';

const MAX_AGE_SECONDS = 365 * 24 * 3600;

/** A client that signs in from the page: public, with the code flow and PKCE. */
interface DocsClient {
  readonly clientId: string;
  readonly issuer: Issuer;
}

interface DocsOptions extends DocumentOptions {
  /** Default: the page has no sign-in, only a field for a token. */
  readonly client: DocsClient | undefined;
}

/** Serves the OpenAPI document, and a page that shows it and can sign in. */
export function docsRoutes(options: DocsOptions): Router {
  const { baseURL, audience, client, dpop } = options;
  const json = JSON.stringify(openApiDocument(options));
  const scripts = {
    // The build puts it there, compressed.
    'viewer.js': readScript('../../dist/viewer.js', ['br', 'gzip']),
    'sign-in.js': readScript('../../assets/sign-in.js', []),
  };
  // The page makes no proofs, so it has no use for a token where each must be bound to a key.
  const page = withoutPart(readPage('docs.html', scripts), dpop.required ? 'bearer' : 'dpop');
  const callbackPage = readPage('callback.html', scripts);

  const router = new Router({ strict: true, sensitive: true });
  router.get('/', (ctx) => {
    const docs = `${baseURL}/docs`;
    // A program gets an error, because a redirect would lead it to a page.
    if (ctx.accepts('json', 'html') === 'html') return ctx.redirect(docs);
    throw new ApiError('ERR_NOT_FOUND', {
      message: `there is nothing here; see ${docs}`,
      headers: { Link: `<${docs}>; rel="service-doc"` },
    });
  });
  router.get('/openapi.json', (ctx) => {
    ctx.type = 'application/json';
    ctx.body = json;
  });
  router.get('/docs', async (ctx) => {
    const section = await signInSection(client, audience);
    ctx.type = 'html';
    ctx.body = page.replace('<!-- sign-in -->', () => section);
  });
  router.get('/docs/callback', (ctx) => {
    ctx.type = 'html';
    ctx.body = callbackPage;
  });
  for (const [name, script] of Object.entries(scripts)) {
    router.get(`/docs/${name}`, (ctx) => answerScript(ctx, script));
  }
  return router;
}

interface Script {
  /** Name of the content: it is in the address, which may then be cached for long. */
  readonly version: string;
  /** The content by content coding, the preferred one first. */
  readonly codings: ReadonlyMap<string, Buffer>;
}

/** Reads a page, in which the address of each script gets its version. */
function readPage(name: string, scripts: Readonly<Record<string, Script>>): string {
  return Object.entries(scripts).reduce(
    (page, [script, { version }]) => page.replace(`${script}"`, `${script}?v=${version}"`),
    readFileSync(new URL(`../../assets/${name}`, import.meta.url), 'utf8'),
  );
}

/** Removes everything between the two marks of a part, such as `<!-- dpop -->`. */
function withoutPart(page: string, part: string): string {
  return page.replace(new RegExp(`<!-- ${part} -->.*?<!-- /${part} -->`, 'gs'), '');
}

function readScript(path: string, compressed: readonly string[]): Script {
  const read = (suffix: string) => readFileSync(new URL(path + suffix, import.meta.url));
  const plain = read('');
  return {
    version: hash('sha256', plain, 'base64url').slice(0, 16),
    codings: new Map([
      ...compressed.map((coding): [string, Buffer] => [coding, read(`.${coding}`)]),
      ['identity', plain],
    ]),
  };
}

function answerScript(ctx: RouterContext, { version, codings }: Script): void {
  ctx.type = 'text/javascript';
  ctx.vary('Accept-Encoding');
  // Weak, because the codings share it (RFC 9110 §8.8.1).
  ctx.set('ETag', `W/"${version}"`);
  const isCurrent = ctx.query.v === version;
  ctx.set(
    'Cache-Control',
    isCurrent ? `public, max-age=${MAX_AGE_SECONDS}, immutable` : 'no-cache',
  );
  ctx.status = 200;
  if (ctx.fresh) {
    ctx.status = 304;
    return;
  }
  const accepted = [...codings].find(([coding]) => ctx.acceptsEncodings(coding));
  const [coding, content] = accepted ?? ['identity', codings.get('identity')];
  if (coding !== 'identity') ctx.set('Content-Encoding', coding);
  ctx.body = content;
}

/** Returns the part of the page that signs in; nothing without a client, or while it cannot work. */
async function signInSection(client: DocsClient | undefined, audience: string): Promise<string> {
  if (!client) return '';
  const { issuer, clientId } = client;
  const metadata = await issuer.metadata().catch(() => undefined);
  const { authorization_endpoint: authorize = '', token_endpoint: token = '' } = metadata ?? {};
  // The page's Content-Security-Policy lets it call the origin of the issuer only.
  const works =
    metadata && authorize && parseURL(token)?.origin === new URL(issuer.issuerBaseURL).origin;
  if (!works) return '<p class="text">The sign-in is not available now. Set a token instead.</p>';
  const data = {
    'client-id': clientId,
    issuer: metadata.issuer,
    'authorization-endpoint': authorize,
    'token-endpoint': token,
    audience,
    scope: Object.keys(SCOPES).join(' '),
  };
  const attributes = Object.entries(data).map(
    ([name, value]) => `data-${name}="${escapeText(value)}"`,
  );
  return `<div id="sign-in" ${attributes.join(' ')}>
          <button type="button">Sign in</button>
          <span role="status"></span>
        </div>`;
}

function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
