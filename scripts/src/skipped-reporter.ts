import type { AggregatedResult, Config, Reporter } from '@jest/reporters';

/**
 * Prints the duration of a whole run at its start, and the skipped suites at its end. The title of a
 * skipped suite contains a colon and the reason. With REQUIRE_ALL a skipped test fails the run.
 */
export default class SkippedReporter implements Pick<Reporter, 'onRunComplete' | 'getLastError'> {
  readonly #byName: boolean;
  readonly #isWhole: boolean;
  #skipped = new Set<string>();

  constructor({ testPathPatterns, testNamePattern }: Config.GlobalConfig) {
    this.#byName = Boolean(testNamePattern);
    this.#isWhole = !this.#byName && !testPathPatterns.isSet();
  }

  onRunStart(): void {
    if (this.#isWhole) process.stderr.write('All tests take about two minutes on two cores.\n');
  }

  onRunComplete(_: unknown, { testResults }: AggregatedResult): void {
    // Tests that `-t` excludes look like skipped ones.
    if (this.#byName) return;
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
