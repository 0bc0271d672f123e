import { AsyncLocalStorage } from 'node:async_hooks';
import type { Action, Rule } from '../tenant/tenant.ts';

const running = new AsyncLocalStorage<Action | Rule>();

/** Does work of an Action or a rule: whatever it begins, timers and promises too, is known as its. */
export function runAs<T>(source: Action | Rule, work: () => T): T {
  return running.run(source, work);
}

/** The Action or rule that began what runs now; undefined when none did. */
export function runningSource(): Action | Rule | undefined {
  return running.getStore();
}
