import type { Disturbance } from './ledger.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';
import type { TokenFacts } from './token-facts.ts';

export interface Scene {
  readonly stage: Stage;
  readonly facts: TokenFacts;
  readonly random: Random;
}

/** Something that goes wrong. */
export interface Fault {
  readonly name: string;
  /** What it may break; empty: nobody may notice. */
  readonly disturbs: readonly Disturbance[];
  /** Milliseconds that it lasts, at least and at most. */
  readonly lasts: readonly [number, number];
  /** Why it can't be done here. */
  readonly missing?: string | undefined;
  /** @returns what ends it */
  begin(scene: Scene): Promise<() => unknown>;
}
