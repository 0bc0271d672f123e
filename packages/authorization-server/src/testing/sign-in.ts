/** E-mail address and password of a user. */
export interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** The end of a chain of redirects. */
interface Arrival {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
  /** True when `url` is the authorization response, which is not fetched. */
  readonly left: boolean;
}

const MAX_REDIRECTS = 20;
/** Maximum of second factors in one sign-in. */
const MAX_STEPS = 10;

/**
 * Signs a user in at an authorization server of this package over HTTP. Proves second factors and consents
 * if the server asks. Sends nothing to any other server.
 *
 * @param authorizationRequest URL of the authorization endpoint with its parameters.
 * @param redirectURI the one in the request; nothing needs to listen there.
 * @returns the authorization response: the redirect URI with its parameters, which may be an error's.
 * @throws Error that names the page at which it ended, when there is no authorization response.
 */
export async function signIn(
  authorizationRequest: string,
  redirectURI: string,
  { email, password }: Credentials,
): Promise<URL> {
  const browser = new SignInBrowser(new URL(authorizationRequest).origin, new URL(redirectURI));
  let page = await browser.visit(new URL(authorizationRequest));
  if (isPage(page, 'login')) page = await browser.visit(page.url, { username: email, password });
  for (let steps = 0; isPage(page, 'mfa') && steps < MAX_STEPS; steps += 1) {
    page = await browser.visit(page.url, secondStepOf(page.text));
  }
  if (isPage(page, 'consent')) page = await browser.visit(page.url, { action: 'accept' });
  if (page.left) return page.url;
  const { url, status, text } = page;
  const fault = errorTextOf(text);
  throw new Error(
    `signing in ended at ${url.origin}${url.pathname} with status ${status}${fault && `: ${fault}`}`,
  );
}

/** Follows redirects of one server, with its cookies, until one leads to the redirect URI or elsewhere. */
class SignInBrowser {
  readonly #origin: string;
  readonly #redirectURI: URL;
  readonly #cookies = new Cookies();

  constructor(origin: string, redirectURI: URL) {
    this.#origin = origin;
    this.#redirectURI = redirectURI;
  }

  async visit(from: URL, form?: Record<string, string>): Promise<Arrival> {
    let url = from;
    let response = await this.#request(url, form);
    for (let redirects = 0; redirects < MAX_REDIRECTS; redirects += 1) {
      const location = response.headers.get('location');
      if (location === null) break;
      await response.body?.cancel();
      url = new URL(location, url);
      const left = isSamePlace(url, this.#redirectURI);
      if (left || url.origin !== this.#origin) {
        return { url, status: response.status, text: '', left };
      }
      response = await this.#request(url);
    }
    return { url, status: response.status, text: await response.text(), left: false };
  }

  async #request(url: URL, form?: Record<string, string>): Promise<Response> {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: {
        accept: 'text/html',
        cookie: this.#cookies.header(url.pathname),
        ...(form && { origin: this.#origin }),
      },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    });
    this.#cookies.store(response);
    return response;
  }
}

/** Returns the form of a second step, with the code and the first factor that its page shows. */
function secondStepOf(html: string): Record<string, string> {
  const [, code = ''] = /<output id="code">(\d+)</.exec(html) ?? [];
  const [, factor = ''] = /(?:name="factor"|<option) value="([^"]+)"/.exec(html) ?? [];
  return { code, factor };
}

function isPage({ url, left }: Arrival, name: 'login' | 'mfa' | 'consent'): boolean {
  return !left && url.pathname.startsWith(`/u/${name}/`);
}

function isSamePlace(one: URL, other: URL): boolean {
  return one.origin === other.origin && one.pathname === other.pathname;
}

/** Returns the error text of a page; the rest of a sign-in page may show passwords. */
function errorTextOf(html: string): string {
  const [, text = ''] = /<p[^>]*(?:role="alert"|class="error-text")[^>]*>([^<]*)/.exec(html) ?? [];
  return text.trim().slice(0, 300);
}

/** The cookies of one server, stored by name and path as in a browser (RFC 6265 §5.3). */
export class Cookies {
  readonly #stored = new Map<string, { readonly pair: string; readonly path: string }>();

  /** Returns the `Cookie` header of a request to this path. */
  header(path: string): string {
    return [...this.#stored.values()]
      .filter((cookie) => isWithin(path, cookie.path))
      .map(({ pair }) => pair)
      .join('; ');
  }

  store(response: Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const [, path = '/'] = /; *path=([^;]*)/i.exec(line) ?? [];
      const [, end = ''] = /; *expires=([^;]*)/i.exec(line) ?? [];
      const key = JSON.stringify([pair.split('=')[0], path]);
      if (Date.parse(end) <= Date.now()) this.#stored.delete(key);
      else this.#stored.set(key, { pair, path });
    }
  }
}

/** Checks whether a path is another one or below it (RFC 6265 §5.1.4). */
function isWithin(path: string, parent: string): boolean {
  return path === parent || path.startsWith(parent.endsWith('/') ? parent : `${parent}/`);
}
