import type { Disturbance } from './ledger.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';
import type { TokenFacts } from './token-facts.ts';

export interface Scene {
  readonly stage: Stage;
  readonly facts: TokenFacts;
  readonly random: Random;
}

/** Fault of a service or of the machine. */
export interface Fault {
  readonly name: string;
  /** Effects that it may have. Empty: no effect expected. */
  readonly disturbs: readonly Disturbance[];
  /** Shortest and longest duration in milliseconds. */
  readonly lasts: readonly [number, number];
  /** Reason why this machine cannot do it. */
  readonly missing?: string | undefined;
  /** @returns a function that ends the fault */
  begin(scene: Scene): Promise<() => unknown>;
}
