import got, { RequestError } from 'got';
import { type Answer, judgeApiAnswer, judgeForged } from './answers.ts';
import { CallerTokens } from './caller-tokens.ts';
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
import type { CallerToken, TokenFacts } from './token-facts.ts';
import { Worker } from './worker.ts';

export interface ApiCallerOptions {
  readonly user: 'alice' | 'bob' | 'carol';
  readonly organization: Organization;
  readonly key: string;
  readonly mayWrite: boolean;
  /** Origins. */
  readonly api: string;
  readonly issuer: string;
  readonly book: ContactBook;
  readonly facts: TokenFacts;
  readonly secrets: Secrets;
}

interface Call {
  readonly json?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly token?: string;
}

/** A token with less time left is renewed. */
const RENEW_BEFORE_MS = 20_000;
const RETRY_AFTER_MS = 500;

/** Program that calls the API with a user's tokens. */
export class ApiCaller extends Worker {
  readonly name: string;
  readonly #options: ApiCallerOptions;
  readonly #tokens: CallerTokens;
  readonly #own: BookEntry[] = [];
  #token: CallerToken | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(options: ApiCallerOptions, ledger: Ledger, random: Random) {
    super(ledger, random);
    this.#options = options;
    this.name = options.key;
    this.#tokens = new CallerTokens(options.issuer, options.user);
  }

  protected needsFor(url: URL | undefined): readonly Disturbance[] {
    return url?.origin === this.#options.api ? ['api'] : ['issuer'];
  }

  protected async act(): Promise<boolean> {
    await this.#renew();
    if (!this.#token) return false;
    const { mayWrite, organization, book } = this.#options;
    const mine = this.#own.filter(({ deleted }) => deleted !== 'yes');
    const [entry] = this.random.shuffled(mine);
    const other = book.ofOther(organization);
    const chance = this.random.next();
    if (chance < 0.05) return this.#forge();
    if (chance < 0.12 && other) return this.#readOther(other);
    if (chance < 0.4) return mayWrite ? this.#add() : this.#addWithoutPermission();
    if (chance < 0.6 && entry) return this.#change(entry);
    if (chance < 0.68 && entry) return this.#delete(entry);
    return this.#list();
  }

  /** Renews the token in time. The old one stays in use while the issuer gives none. */
  async #renew(): Promise<void> {
    const now = performance.now();
    const { facts } = this.#options;
    const kept = this.#token;
    if (kept && facts.isValid(kept) && kept.goodUntil - now > RENEW_BEFORE_MS) return;
    if (now - this.#askedAt < RETRY_AFTER_MS) return;
    this.#askedAt = now;
    try {
      this.#token = (await this.#tokens.get()) ?? this.#token;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.ledger.failure(['issuer', 'sign-in'], `caller's token, ${error.code}`, now);
    }
    const isOver = this.#token && performance.now() > this.#token.goodUntil;
    if (isOver) this.#token = undefined;
  }

  async #list(): Promise<boolean> {
    return this.#judge(await this.#call('GET', 'contacts?limit=100&sort=-created_at'), [200]);
  }

  async #add(): Promise<boolean> {
    const { book, organization, key } = this.#options;
    this.#count += 1;
    const name = contactName(organization, `${key}.${this.#count}`);
    const notes = `first of ${this.#count}`;
    book.adding(name);
    const json = { name, email: 'contact@example.com', notes };
    const answer = await this.#call('POST', 'contacts', { json });
    if (answer.status === 201) {
      this.#own.push(book.added(organization, JSON.parse(answer.body).id, name, notes));
    }
    return this.#judge(answer, [201]);
  }

  async #addWithoutPermission(): Promise<boolean> {
    const { book, organization, key } = this.#options;
    this.#count += 1;
    const name = contactName(organization, `${key}.${this.#count}`);
    book.refused(name);
    const json = { name, email: 'contact@example.com' };
    return this.#judge(await this.#call('POST', 'contacts', { json }), [403]);
  }

  async #change(entry: BookEntry): Promise<boolean> {
    const { book } = this.#options;
    const path = `contacts/${entry.id}`;
    const mayMiss = entry.pending > 0 ? [404, 412] : [];
    const found = await this.#call('GET', path);
    if (found.status === 404) book.missed(entry);
    if (found.status !== 200) return this.#judge(found, mayMiss);
    book.saw(entry, JSON.parse(found.body));
    this.#count += 1;
    const notes = `changed by ${this.#count}`;
    book.changing(entry, notes);
    const headers = { 'if-match': String(found.headers.etag) };
    const answer = await this.#call('PATCH', path, { headers, json: { notes } });
    if (answer.status === 200) book.changed(entry, notes);
    return this.#judge(answer, [200, ...mayMiss]);
  }

  async #delete(entry: BookEntry): Promise<boolean> {
    const { book } = this.#options;
    const mayMiss = entry.pending > 0 ? [404] : [];
    book.deleting(entry);
    const answer = await this.#call('DELETE', `contacts/${entry.id}`);
    if (answer.status === 204) book.deleted(entry);
    if (answer.status === 404) book.missed(entry);
    return this.#judge(answer, [204, ...mayMiss]);
  }

  async #readOther({ id }: BookEntry): Promise<boolean> {
    const answer = await this.#call('GET', `contacts/${id}`);
    this.ledger.count("others' contacts asked for");
    return this.#judge(answer, [404]);
  }

  /** Sends the valid token with another signature. */
  async #forge(): Promise<boolean> {
    const [header, claims, signature = ''] = String(this.#token?.value).split('.');
    const turned = [...signature].reverse().join('');
    const answer = await this.#call('GET', 'contacts', { token: `${header}.${claims}.${turned}` });
    this.ledger.count('forged tokens sent');
    return judgeForged(answer, this.ledger);
  }

  async #call(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, call: Call = {}) {
    const { api, organization, secrets } = this.#options;
    const begun = performance.now();
    const token = call.token ?? this.#token?.value;
    const url = `${api}/${path}`;
    const { statusCode, headers, body } = await got(url, {
      method,
      headers: { ...call.headers, authorization: `Bearer ${token}` },
      ...(call.json && { json: call.json }),
      throwHttpErrors: false,
      retry: { limit: 0 },
      timeout: { request: 10_000 },
    });
    this.ledger.count('answers to callers');
    secrets.watch("an answer of the API's", body);
    if (showsOther(organization, body)) {
      this.ledger.wrong(
        'contacts of other organizations stay hidden',
        `${this.name} at ${path}`,
        begun,
      );
    }
    return { method, url, status: statusCode, headers, body, begun };
  }

  #judge(answer: Answer, expected: readonly number[]): boolean {
    // After a fault of keys or clock, the API may accept or refuse the token.
    const isValid = this.#token && this.#options.facts.isValid(this.#token);
    if (!isValid && answer.status === 401) return false;
    return judgeApiAnswer(answer, expected, this.ledger);
  }
}
