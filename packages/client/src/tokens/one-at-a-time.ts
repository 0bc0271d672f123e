/**
 * Runs work one at a time for each name. Who asks for the same work while it waits or runs shares
 * its result.
 */
export type OneAtATime<Result> = (
  name: string,
  what: string,
  work: () => Promise<Result>,
) => Promise<Result>;

/** @returns the queues of this process, all of them empty */
export function createOneAtATime<Result>(): OneAtATime<Result> {
  const queues = new Map<
    string,
    { last: Promise<unknown>; shared: Map<string, Promise<Result>> }
  >();

  return function oneAtATime(name, what, work) {
    const queue = queues.get(name) ?? { last: Promise.resolve(), shared: new Map() };
    queues.set(name, queue);
    const running = queue.shared.get(what);
    if (running) return running;
    const started = queue.last.then(work, work).finally(() => {
      queue.shared.delete(what);
      if (queue.shared.size === 0) queues.delete(name);
    });
    queue.last = started;
    queue.shared.set(what, started);
    return started;
  };
}
