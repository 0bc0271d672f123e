import { setTimeout as wait } from 'node:timers/promises';
import type { ClientContext } from '../client-context.ts';
import type { Session } from '../session/session.ts';
import type { KeptTokens, SuppliedToken, TokenRequest, TokenSource } from './kept-tokens.ts';

interface Queue {
  last: Promise<unknown>;
  /** Requests that wait or run, by what they want. */
  readonly shared: Map<string, Promise<SuppliedToken>>;
}

/**
 * Passes on one request of a session at a time, in this process. A request for the same token as
 * one that waits or runs shares its result.
 */
export function oneAtATime(source: TokenSource): TokenSource {
  const queues = new Map<string, Queue>();

  return function oneAtATime(request) {
    const { id } = request.session;
    const wanted = nameOf(request);
    const queue = queues.get(id) ?? { last: Promise.resolve(), shared: new Map() };
    queues.set(id, queue);
    const running = queue.shared.get(wanted);
    if (running) return running;
    const run = () => source(request);
    const started = queue.last.then(run, run).finally(() => {
      queue.shared.delete(wanted);
      if (queue.shared.size === 0) queues.delete(id);
    });
    queue.last = started;
    queue.shared.set(wanted, started);
    return started;
  };
}

function nameOf({ wanted: { scope, audience, insteadOf } }: TokenRequest): string {
  return JSON.stringify([scope?.split(' ').sort(), audience, insteadOf]);
}

type LeaseContext = Pick<ClientContext, 'sessions' | 'warn'>;

/** A session's lease: its holder is the only one, over all processes, to renew the tokens. */
export class Lease {
  /** For `Sessions.save`, which writes nothing when another has held the lease since. */
  fence: number;
  readonly #context: LeaseContext;
  readonly #session: Session;
  readonly #milliseconds: number;
  readonly #beat: NodeJS.Timeout;

  private constructor(
    context: LeaseContext,
    session: Session,
    milliseconds: number,
    fence: number,
  ) {
    this.fence = fence;
    this.#context = context;
    this.#session = session;
    this.#milliseconds = milliseconds;
    // A store that is away for a moment costs nothing: two more beats come before the end.
    this.#beat = setInterval(() => this.#extend().catch(context.warn), milliseconds / 3).unref();
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

  /** Reports whether the lease is held, or was acquired again after it was lost. */
  async regain(): Promise<boolean> {
    if (await this.#extend()) return true;
    const { sessions } = this.#context;
    const fence = await sessions.acquireLease(this.#session, this.#milliseconds);
    this.fence = fence ?? this.fence;
    return fence !== undefined;
  }

  async release(): Promise<void> {
    const { sessions, warn } = this.#context;
    clearInterval(this.#beat);
    await sessions.releaseLease(this.#session, this.fence).catch(warn);
  }

  #extend(): Promise<boolean> {
    return this.#context.sessions.extendLease(this.#session, this.fence, this.#milliseconds);
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
