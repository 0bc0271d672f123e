import got, { type Got, type Response } from 'got';
import { type HTMLElement, parse } from 'node-html-parser';
import { CookieJar } from 'tough-cookie';

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly html: HTMLElement;
  /** Target of a redirect that was not followed. */
  readonly location: string | undefined;
}

interface FormBrowserOptions {
  /** Beginning of an address: redirects to it are not followed. */
  readonly stopAt?: string;
  readonly userAgent?: string;
  /** Cookies that it has, and shares with the owner of the jar. Default: none */
  readonly cookieJar?: CookieJar;
  /** Receives every answer, also redirects. */
  readonly onAnswer?: (answer: Response) => void;
}

/** Returns the target of a page that leads on at once. */
export function refreshOf(page: string): string | undefined {
  const content = parse(page).querySelector('meta[http-equiv="refresh"]')?.getAttribute('content');
  return /^0;url=(.+)$/.exec(content ?? '')?.[1];
}

/**
 * A browser for sign-ins: cookies, redirects, forms. It runs no script, and stops at the first
 * redirect to `stopAt`.
 */
export class FormBrowser {
  readonly #got: Got;
  readonly #stopAt: string | undefined;

  constructor({
    stopAt,
    userAgent = 'form-browser',
    cookieJar = new CookieJar(),
    onAnswer,
  }: FormBrowserOptions = {}) {
    this.#stopAt = stopAt;
    this.#got = got.extend({
      cookieJar,
      followRedirect: false,
      throwHttpErrors: false,
      retry: { limit: 0 },
      timeout: { request: 10_000 },
      headers: {
        accept: 'text/html,application/xhtml+xml',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        'user-agent': userAgent,
      },
      hooks: {
        afterResponse: [
          (answer) => {
            onAnswer?.(answer);
            return answer;
          },
        ],
      },
    });
  }

  open(url: string): Promise<Page> {
    return this.#follow(url, 'GET');
  }

  /** Fills in a form on a page, found by its CSS selector, and submits it. */
  submit(page: Page, selector: string, values: Record<string, string>): Promise<Page> {
    const form = page.html.querySelector(selector);
    if (!form) {
      const text = page.html.text.trim().replace(/\s+/g, ' ').slice(0, 300);
      throw new Error(`no ${selector} on ${page.url} (${page.status}): ${text}`);
    }
    const fields = form
      .querySelectorAll('input, textarea')
      .filter((input) => input.getAttribute('name') && input.getAttribute('type') !== 'submit')
      .map((input) => [input.getAttribute('name'), input.getAttribute('value') ?? input.text]);
    const action = new URL(form.getAttribute('action') || page.url, page.url).href;
    const method = form.getAttribute('method')?.toUpperCase() === 'POST' ? 'POST' : 'GET';
    return this.#follow(
      action,
      method,
      { ...Object.fromEntries(fields), ...values },
      new URL(page.url).origin,
    );
  }

  async #follow(
    url: string,
    method: 'GET' | 'POST',
    form?: Record<string, string>,
    origin?: string,
  ): Promise<Page> {
    let target = url;
    let response = await this.#got(target, { method, ...(form && { form, headers: { origin } }) });
    for (let redirects = 0; redirects < 20; redirects += 1) {
      const location = response.headers.location ?? refreshOf(response.body);
      if (location === undefined) break;
      const next = new URL(location, target).href;
      if (this.#stopAt !== undefined && next.startsWith(this.#stopAt)) {
        return { url: target, status: response.statusCode, html: parse(''), location: next };
      }
      target = next;
      response = await this.#got(target);
    }
    return {
      url: target,
      status: response.statusCode,
      html: parse(response.body),
      location: undefined,
    };
  }
}
