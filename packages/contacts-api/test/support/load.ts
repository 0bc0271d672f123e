import { setTimeout as after } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { ReadError, RequestError } from 'got';
import type { Contact } from '../../src/contact.ts';
import type { ApiProcess } from './api-process.ts';

const CLIENTS = 6;

/** Clients that add contacts and read them again. They continue when a connection breaks. */
export class Load {
  readonly acknowledged = new Map<string, Contact>();
  requests = 0;
  /** Number of connections that broke, each with one unanswered request. */
  broken = 0;
  unacknowledged = 0;
  /** True while connections may break. */
  mayBreak = false;
  readonly #headers: Record<string, string>;
  readonly #ended: Promise<unknown>;
  readonly #api: ApiProcess['api'];
  #ending = false;

  constructor({ api }: ApiProcess, headers: Record<string, string>) {
    this.#api = api;
    this.#headers = headers;
    this.#ended = Promise.all(Array.from({ length: CLIENTS }, () => this.#client()));
    this.#ended.catch(() => {
      this.#ending = true;
    });
  }

  /** Waits until each client could have added another contact. */
  async progress(): Promise<void> {
    const goal = this.acknowledged.size + 2 * CLIENTS;
    while (this.acknowledged.size < goal && !this.#ending) await after(5);
  }

  async end(): Promise<void> {
    this.#ending = true;
    await this.#ended;
  }

  async #client(): Promise<void> {
    while (!this.#ending) {
      const contact = await this.#add();
      for (let reads = 0; contact && reads < 2; reads += 1) await this.#read(contact);
    }
  }

  async #add(): Promise<Contact | undefined> {
    const json = { name: `Contact ${this.requests}`, email: 'contact@example.com' };
    const answer = await this.#unlessBroken(
      this.#api.post<Contact>('contacts', { headers: this.#headers, json }),
    );
    if (!answer) {
      this.unacknowledged += 1;
      return undefined;
    }
    const { statusCode, body } = answer;
    expect([statusCode, body]).toEqual([201, expect.objectContaining({ ...json, version: 1 })]);
    this.acknowledged.set(body.id, body);
    return body;
  }

  async #read(contact: Contact): Promise<void> {
    const answer = await this.#unlessBroken(
      this.#api<Contact>(`contacts/${contact.id}`, { headers: this.#headers }),
    );
    if (answer) expect([answer.statusCode, answer.body]).toEqual([200, contact]);
    else await this.#read(contact);
  }

  async #unlessBroken<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
    this.requests += 1;
    const mightBreak = this.mayBreak;
    try {
      return await asked;
    } catch (error) {
      // A connection may break, but not an answer that has begun.
      const { code } = error as RequestError;
      const fits = error instanceof RequestError && !(error instanceof ReadError);
      if (!fits || !isBroken(code) || !(mightBreak || this.mayBreak)) throw error;
      this.broken += 1;
      await after(50);
      return undefined;
    }
  }
}

/** Reports whether this is the code of a connection that broke or could not be made. */
export function isBroken(code: string): boolean {
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(code);
}
