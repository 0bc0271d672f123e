import type { ClientMessage, SessionStore } from '@koa-oauth/client';

const LOGIN_SECONDS = 600;
/** No session lasts longer. */
const SESSION_SECONDS = 604_800;
const MAX_ATTEMPTS = 5;

/**
 * Stores the messages of each login for `/session`, in development only. They are in the session
 * store, which all processes share, and their secrets are already masked.
 */
export class FlowLog {
  readonly #store: SessionStore;
  /** The last unfinished write of each login, so that messages keep their order. */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(store: SessionStore) {
    this.#store = store;
  }

  /** Adds a message to its login. Only the last refresh is kept. */
  async add(message: ClientMessage): Promise<void> {
    const { loginId } = message;
    const before = this.#writes.get(loginId) ?? Promise.resolve();
    const write = before.then(() => this.#append(message)).catch(() => {});
    this.#writes.set(loginId, write);
    await write;
    if (this.#writes.get(loginId) === write) this.#writes.delete(loginId);
  }

  /** Returns the messages of the login that opened a session, oldest first. */
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
      const startedAt = Math.ceil(Date.now() / 1000);
      const expiresAt = Math.max(record?.expiresAt ?? 0, startedAt + seconds);
      const isWritten = record
        ? await this.#store.update(key, record.version, { sealed, expiresAt })
        : // It fails when another process was first.
          await this.#store
            .create(key, { sealed, expiresAt, startedAt, about: '', terms: [] })
            .catch(() => false);
      if (isWritten) return;
    }
  }
}

// The key of a session is a hash, without a prefix.
function keyOf(loginId: string): string {
  return `flow ${loginId}`;
}
