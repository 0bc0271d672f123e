import { setTimeout as after } from 'node:timers/promises';
import type { Fault, Scene } from './fault.ts';
import { issuerFaults } from './issuer-faults.ts';
import type { FaultWindow, Ledger } from './ledger.ts';
import { machineFaults } from './machine-faults.ts';
import type { Worker } from './worker.ts';

/** Longest time of recovery after a fault. */
const RECOVERY_MS = 15_000;
/** A fault is over after this time without a failure: every process has retried by then. */
const QUIET_MS = 2100;
const CHECK_EVERY_MS = 50;

/**
 * Runs one fault after the other in random order, until the time is over.
 *
 * @param only text that the names of the faults contain
 */
export async function runFaults(
  scene: Scene,
  workers: readonly Worker[],
  ledger: Ledger,
  { seconds, only }: { readonly seconds: number; readonly only: string },
): Promise<void> {
  const all = [...issuerFaults(), ...machineFaults(scene.stage)].filter(({ name }) =>
    name.includes(only),
  );
  if (all.length === 0) throw new Error(`--only is "${only}": no fault has such a name`);
  for (const { name, missing } of all) if (missing) ledger.skipped.push(`${name}: ${missing}`);
  const possible = all.filter(({ missing }) => missing === undefined);
  const before = ledger.begin('none', []);
  before.ended = before.begun;
  await settle(before, scene, workers, ledger);
  const until = performance.now() + seconds * 1000;
  let waiting: Fault[] = [];
  while (performance.now() < until) {
    if (waiting.length === 0) waiting = scene.random.shuffled(possible);
    const { name, disturbs, lasts, begin } = waiting.pop() as Fault;
    const duration = scene.random.integer(...lasts);
    const window = ledger.begin(name, disturbs);
    const end = await begin(scene);
    await after(duration);
    await end();
    window.ended = performance.now();
    await settle(window, scene, workers, ledger);
    await after(scene.random.integer(100, 500));
  }
}

/** Waits until every worker succeeds, every process is in use, and failures have stopped. */
async function settle(
  window: FaultWindow,
  { stage }: Scene,
  workers: readonly Worker[],
  ledger: Ledger,
): Promise<void> {
  const { ended = 0, disturbs } = window;
  for (;;) {
    const now = performance.now();
    const late = workers.filter(({ lastGood }) => lastGood < ended).map(({ name }) => name);
    late.push(...stage.unwell());
    if (late.length === 0) window.well ??= now;
    const quiet = disturbs.length > 0 ? QUIET_MS : 0;
    const isQuiet = now >= Math.max(ended, window.lastFailure) + quiet;
    if (late.length === 0 && isQuiet) break;
    if (now > ended + RECOVERY_MS) {
      const who = late.join(', ') || 'every worker succeeds, but something fails';
      ledger.wrong(`everything works ${RECOVERY_MS / 1000} s after a fault`, who);
      break;
    }
    await after(CHECK_EVERY_MS);
  }
  window.settled = performance.now();
}
