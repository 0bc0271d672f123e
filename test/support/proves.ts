import { expect } from '@jest/globals';
import { tagsOf } from '../../scripts/src/proofs.ts';
import { read } from './snippets.ts';

const tags = new Set(tagsOf(read('docs/security.md')));

/**
 * Marks the running test as a proof of rows in docs/security.md. `npm run docs` then adds a link to
 * the test's file to these rows.
 *
 * @param proved names of rows, such as `RFC 6750 §5.1 replay`
 * @throws Error outside of a running test, and for a name without a row
 * @example
 * test('a revoked token is rejected', async () => {
 *   proves('RFC 6750 §5.1 replay');
 *   …
 * });
 */
export function proves(...proved: string[]): void {
  if (!expect.getState().currentTestName) throw new Error('proves() must be called in a test');
  for (const tag of proved) {
    if (!tags.has(tag)) throw new Error(`docs/security.md has no row "${tag}"`);
  }
}
