import type { ClientMessage, SessionStore } from '@koa-oauth/client';

const LOGIN_SECONDS = 600;
/** No session lasts longer. */
const SESSION_SECONDS = 604_800;
const MAX_ATTEMPTS = 5;

/**
 * Stores the messages of each login for the page of its session, in development only. They are
 * records of the session store, so that all processes that share it show the same; secrets were
 * masked before.
 */
export class FlowLog {
  readonly #store: SessionStore;
  /** The last write for each login that has one on its way: messages keep their order. */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /** Adds a message to those of its login. Of refreshes, the last one is kept. */
  async add(message: ClientMessage): Promise<void> {
    const { loginId } = message;
    const before = this.#writes.get(loginId) ?? Promise.resolve();
    const write = before.then(() => this.#append(message)).catch(() => {});
    this.#writes.set(loginId, write);
    await write;
    if (this.#writes.get(loginId) === write) this.#writes.delete(loginId);
  }

  /** Returns the messages of the login that opened a session, in the order in which they went. */
  async read(loginId: string | undefined): Promise<readonly ClientMessage[]> {
    if (loginId === undefined) return [];
    await this.#writes.get(loginId);
    const record = await this.#store.read(keyOf(loginId));
    return record ? JSON.parse(record.sealed) : [];
  }

  async #append(message: ClientMessage): Promise<void> {
    const key = keyOf(message.loginId);
    const isSession = message.step === 'token_response' && message.status === 200;
    const seconds = isSession ? SESSION_SECONDS : LOGIN_SECONDS;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const record = await this.#store.read(key);
      const messages: ClientMessage[] = record ? JSON.parse(record.sealed) : [];
      const isRefresh = message.step === 'refresh_request';
      const others = messages.filter(({ step }) => !isRefresh || !step.startsWith('refresh_'));
      const sealed = JSON.stringify([...others, message]);
      const expiresAt = Math.max(record?.expiresAt ?? 0, Math.ceil(Date.now() / 1000) + seconds);
      const isWritten = record
        ? await this.#store.update(key, record.version, { sealed, expiresAt })
        : await this.#create(key, sealed, expiresAt);
      if (isWritten) return;
    }
  }

  /** Returns false when another process was first. */
  async #create(key: string, sealed: string, expiresAt: number): Promise<boolean> {
    try {
      await this.#store.create(key, { sealed, expiresAt, about: '', terms: [] });
      return true;
    } catch {
      return false;
    }
  }
}

/** Unlike the key of a session, which is a hash alone. */
function keyOf(loginId: string): string {
  return `flow ${loginId}`;
}
