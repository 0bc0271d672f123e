import { statSync } from 'node:fs';
import type { Test } from '@jest/reporters';

/** Suites that need the most time of a core, the longest first. */
const LONGEST = [
  'container',
  'pages',
  'packages',
  'sdks',
  'dpop',
  'installed',
  'proofs',
  'sessions',
  'contacts',
];

const nameOf = ({ path }: Test) => path.match(/([^/\\]+)\.long\.test\.ts$/)?.[1] ?? '';

function rank(test: Test): number {
  const index = LONGEST.indexOf(nameOf(test));
  return index < 0 ? LONGEST.length : index;
}

/**
 * Starts the longest suites first, so that no worker waits for one of them at the end. In a fresh
 * clone jest knows no durations and goes by the size of a file only.
 */
export default class LongestFirst {
  sort(tests: readonly Test[]): Test[] {
    const size = ({ path }: Test) => statSync(path).size;
    return [...tests].sort((a, b) => rank(a) - rank(b) || size(b) - size(a));
  }

  /** Does nothing: the order is the same in each run. */
  cacheResults(): void {}
}
