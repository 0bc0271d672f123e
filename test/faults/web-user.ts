import type { Response } from 'got';
import { FormBrowser, type Page, refreshOf } from '../support/form-browser.ts';
import { judgeWebAnswer } from './answers.ts';
import {
  type BookEntry,
  type ContactBook,
  contactName,
  type Organization,
  showsOther,
} from './contact-book.ts';
import type { Disturbance, Ledger } from './ledger.ts';
import type { Random } from './random.ts';
import type { Secrets } from './secrets.ts';
import { Worker } from './worker.ts';

export interface WebUserOptions {
  readonly user: 'alice' | 'bob' | 'carol';
  readonly organization: Organization;
  /** Unique name. The names of the user's contacts contain it. */
  readonly key: string;
  readonly mayWrite: boolean;
  /** Origins. */
  readonly web: string;
  readonly issuer: string;
  readonly isOnDisk: boolean;
  readonly book: ContactBook;
  readonly secrets: Secrets;
}

const USERNAME = 'form:has(input[name="username"]:not([type="hidden"]))';
const CONSENT = 'form:has([name="action"])';
const ADD = 'form[action="/contacts"][method="post"]';
const EDIT = 'form[action$="/edit"]';
const DELETE = 'form[action$="/delete"]';
const SIGN_OUT = 'main form[action="/logout"]';

/** User of the web app, with a browser. */
export class WebUser extends Worker {
  readonly name: string;
  readonly #options: WebUserOptions;
  readonly #own: BookEntry[] = [];
  readonly #browser: FormBrowser;
  #isSignedIn = false;
  #mayMeet: readonly number[] = [];
  /** Redirect of the web app after the last form. */
  #sentTo: string | undefined;
  #count = 0;

  constructor(options: WebUserOptions, ledger: Ledger, random: Random) {
    super(ledger, random);
    this.#options = options;
    this.name = options.key;
    this.#browser = new FormBrowser({
      userAgent: this.name,
      onAnswer: (answer) => this.#look(answer),
    });
  }

  protected needsFor(url: URL | undefined): readonly Disturbance[] {
    if (url?.origin === this.#options.issuer) return ['issuer'];
    return this.#options.isOnDisk ? ['disk'] : ['web'];
  }

  protected act(): Promise<boolean> {
    if (!this.#isSignedIn) return this.#signIn();
    const mine = this.#own.filter(({ deleted }) => deleted !== 'yes');
    const chance = this.random.next();
    if (chance < 0.03) return this.#signOut();
    if (chance < 0.3) return this.#add();
    const [entry] = this.random.shuffled(mine);
    if (chance < 0.55 && entry) return this.#edit(entry);
    if (chance < 0.65 && entry) return this.#delete(entry);
    return this.#list();
  }

  async #signIn(): Promise<boolean> {
    const { user, web } = this.#options;
    let page = await this.#browser.open(`${web}/contacts`);
    if (page.html.querySelector(USERNAME)) {
      const credentials = { username: `${user}@example.com`, password: `${user}-demo` };
      page = await this.#browser.submit(page, USERNAME, credentials);
    }
    if (page.html.querySelector(CONSENT)) {
      page = await this.#browser.submit(page, CONSENT, { action: 'accept' });
    }
    this.#isSignedIn = this.#isWell(page) && page.html.querySelector(ADD) !== null;
    if (this.#isSignedIn) this.ledger.count('sign-ins');
    return this.#isSignedIn;
  }

  async #signOut(): Promise<boolean> {
    const page = await this.#browser.open(`${this.#options.web}/logout`);
    if (!page.html.querySelector(SIGN_OUT)) return false;
    this.#isSignedIn = false;
    const out = await this.#submit(page, SIGN_OUT, {});
    // When the store fails, the user stays signed in, and the page says so.
    if (this.#sentTo === undefined) this.#isSignedIn = out.status === 503;
    else this.ledger.count('sign-outs');
    return this.#isWell(out);
  }

  async #list(): Promise<boolean> {
    return this.#isWell(await this.#browser.open(`${this.#options.web}/contacts`));
  }

  async #add(): Promise<boolean> {
    const { book, key, organization, mayWrite, web } = this.#options;
    const contacts = await this.#browser.open(`${web}/contacts`);
    if (!this.#isWell(contacts)) return false;
    this.#count += 1;
    const name = contactName(organization, `${key}.${this.#count}`);
    const notes = `first of ${this.#count}`;
    const values = { name, email: 'contact@example.com', notes };
    if (mayWrite) book.adding(name);
    else book.refused(name);
    const page = await this.#submit(contacts, ADD, values, mayWrite ? [] : [403]);
    if (!mayWrite) return page.status === 403;
    const id = this.#acknowledged('added');
    if (id !== undefined) this.#own.push(book.added(organization, id, name, notes));
    return id !== undefined && this.#isWell(page);
  }

  async #edit(entry: BookEntry): Promise<boolean> {
    const { book } = this.#options;
    const isUnsure = entry.pending > 0;
    const form = await this.#find(entry, 'edit');
    if (!form) return false;
    const field = (name: string) => form.html.querySelector(`${EDIT} [name="${name}"]`);
    const name = field('name')?.getAttribute('value') ?? '';
    book.saw(entry, { name, notes: field('notes')?.text.trim() ?? '' });
    this.#count += 1;
    const notes = `changed by ${this.#count}`;
    book.changing(entry, notes);
    const page = await this.#submit(form, EDIT, { notes }, isUnsure ? [404, 412] : []);
    const isDone = this.#acknowledged('changed') !== undefined;
    if (isDone) book.changed(entry, notes);
    return isDone && this.#isWell(page);
  }

  async #delete(entry: BookEntry): Promise<boolean> {
    const { book } = this.#options;
    const isUnsure = entry.pending > 0;
    const form = await this.#find(entry, 'delete');
    if (!form) return false;
    book.deleting(entry);
    const page = await this.#submit(form, DELETE, {}, isUnsure ? [404, 412] : []);
    const isDone = this.#acknowledged('deleted') !== undefined;
    if (isDone) book.deleted(entry);
    return isDone && this.#isWell(page);
  }

  /** @returns the page with the form, or undefined when it did not appear */
  async #find(entry: BookEntry, what: 'edit' | 'delete'): Promise<Page | undefined> {
    this.#mayMeet = [404];
    const url = `${this.#options.web}/contacts/${entry.id}/${what}`;
    const page = await this.#browser.open(url).finally(() => {
      this.#mayMeet = [];
    });
    if (page.status === 404) this.#options.book.missed(entry);
    const isThere = this.#isWell(page) && page.html.querySelector(what === 'edit' ? EDIT : DELETE);
    return isThere ? page : undefined;
  }

  async #submit(page: Page, form: string, values: Record<string, string>, mayMeet: number[] = []) {
    this.#sentTo = undefined;
    this.#mayMeet = mayMeet;
    try {
      return await this.#browser.submit(page, form, values);
    } finally {
      this.#mayMeet = [];
    }
  }

  /** Returns the id from the redirect after a change. */
  #acknowledged(what: 'added' | 'changed' | 'deleted'): string | undefined {
    const { web } = this.#options;
    if (this.#sentTo === undefined) return undefined;
    return new URL(this.#sentTo, web).searchParams.get(what) ?? undefined;
  }

  #isWell({ url, status }: Page): boolean {
    return status === 200 && url.startsWith(this.#options.web);
  }

  #look(response: Response): void {
    const { web, issuer, isOnDisk, organization, secrets } = this.#options;
    const { url, statusCode: status, headers, timings } = response;
    const { method } = response.request.options;
    const body = String(response.body);
    const begun = performance.now() - (Date.now() - timings.start);
    this.ledger.count('answers to users');
    if (!url.startsWith(web)) {
      const where = `${method} ${new URL(url).pathname}: ${status}`;
      if (status >= 400) this.ledger.wrong("the issuer's pages work", where, begun);
      return;
    }
    secrets.watch('a page', body);
    if (showsOther(organization, body)) {
      this.ledger.wrong(
        'contacts of other organizations stay hidden',
        `${this.name} at ${url}`,
        begun,
      );
    }
    const { location } = headers;
    if (method === 'POST') this.#sentTo = location ?? refreshOf(body);
    if (this.#isSignedIn && location?.startsWith(`${issuer}/authorize`)) {
      this.ledger.sessionEnded(`${this.name} at ${url}`, begun);
      this.#isSignedIn = false;
    }
    judgeWebAnswer(
      { method, url, status, headers, body, begun },
      { ledger: this.ledger, isSignedIn: this.#isSignedIn, isOnDisk, mayMeet: this.#mayMeet },
    );
  }
}
