import type { SuppliedToken, TokenRequest, TokenSource } from './kept-tokens.ts';

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
