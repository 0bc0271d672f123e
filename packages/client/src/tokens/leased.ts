import { setTimeout as wait } from 'node:timers/promises';
import type { ClientContext } from '../client-context.ts';
import type { Session } from '../session/session.ts';
import type { KeptTokens, TokenRequest, TokenSource } from './kept-tokens.ts';

type LeaseContext = Pick<ClientContext, 'sessions' | 'warn'>;

/** A session's lease: its holder is the only one, over all processes, to renew the tokens. */
export class Lease {
  readonly #context: LeaseContext;
  readonly #session: Session;
  readonly #milliseconds: number;
  readonly #beat: NodeJS.Timeout;
  #fence: number;

  private constructor(
    context: LeaseContext,
    session: Session,
    milliseconds: number,
    fence: number,
  ) {
    const { sessions, warn } = context;
    this.#context = context;
    this.#session = session;
    this.#milliseconds = milliseconds;
    this.#fence = fence;
    // A store that is away for a moment costs nothing: two more beats come before the end.
    this.#beat = setInterval(() => {
      sessions.extendLease(session, this.#fence, milliseconds).catch(warn);
    }, milliseconds / 3).unref();
  }

  /**
   * Acquires a lease, which is extended until it is released.
   *
   * @param milliseconds after which it ends when its holder died
   * @returns undefined when another holds it or the session has ended
   */
  static async acquire(
    context: LeaseContext,
    session: Session,
    milliseconds: number,
  ): Promise<Lease | undefined> {
    const fence = await context.sessions.acquireLease(session, milliseconds);
    return fence === undefined ? undefined : new Lease(context, session, milliseconds, fence);
  }

  /** For `Sessions.save`, which writes nothing when another has held the lease since. */
  get fence(): number {
    return this.#fence;
  }

  /** Reports whether the lease is held, or was acquired again after it was lost. */
  async regain(): Promise<boolean> {
    const { sessions } = this.#context;
    if (await sessions.extendLease(this.#session, this.#fence, this.#milliseconds)) return true;
    const fence = await sessions.acquireLease(this.#session, this.#milliseconds);
    if (fence === undefined) return false;
    this.#fence = fence;
    return true;
  }

  async release(): Promise<void> {
    const { sessions, warn } = this.#context;
    clearInterval(this.#beat);
    await sessions.releaseLease(this.#session, this.#fence).catch(warn);
  }
}

/** A request whose session's lease is held. */
export interface LeasedTokenRequest extends TokenRequest {
  readonly lease: Lease;
}

interface LeasedOptions {
  context: LeaseContext;
  tokens: KeptTokens;
  /** Milliseconds after which another may go on where the one that renews has died. */
  leaseDuration: number;
  /** From 0 up to 1. */
  random: () => number;
}

const MIN_POLL_MS = 20;
const MAX_POLL_MS = 250;

/** Passes on one request of a session at a time, over all processes that share the store. */
export function leased(
  source: TokenSource<LeasedTokenRequest>,
  { context, tokens, leaseDuration, random }: LeasedOptions,
): TokenSource {
  return async function leased(request) {
    for (let round = 0; ; round += 1) {
      // Another process may have renewed it meanwhile.
      const { supplied, session } = await tokens.reread(request);
      if (supplied) return supplied;
      const lease = await Lease.acquire(context, session, leaseDuration);
      if (lease) {
        try {
          return await source({ ...request, session, lease });
        } finally {
          await lease.release();
        }
      }
      const longest = Math.min(MAX_POLL_MS, MIN_POLL_MS * 2 ** round);
      await wait(longest * (0.5 + random() / 2));
    }
  };
}
