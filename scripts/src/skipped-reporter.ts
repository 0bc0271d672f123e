import type { AggregatedResult, Reporter } from '@jest/reporters';

/**
 * Names, at the end of a test run, what was skipped and why: a suite that skips says so in its
 * title. With REQUIRE_ALL set a skipped test fails the run.
 */
export default class SkippedReporter implements Pick<Reporter, 'onRunComplete' | 'getLastError'> {
  #skipped = new Set<string>();

  onRunComplete(_: unknown, { testResults }: AggregatedResult): void {
    const tests = testResults.flatMap((file) => file.testResults);
    this.#skipped = new Set(
      tests
        .filter(({ status }) => status === 'pending')
        .map(
          ({ ancestorTitles, title }) => ancestorTitles.find((name) => name.includes(':')) ?? title,
        ),
    );
    if (this.#skipped.size === 0) return;
    process.stderr.write(
      `\nSkipped here:\n${[...this.#skipped].map((name) => `  ${name}\n`).join('')}`,
    );
  }

  getLastError(): Error | undefined {
    if (this.#skipped.size === 0 || !process.env.REQUIRE_ALL) return undefined;
    return new Error('REQUIRE_ALL is set, and some tests were skipped');
  }
}
