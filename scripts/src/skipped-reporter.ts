import type { AggregatedResult, Config, Reporter } from '@jest/reporters';

/**
 * Says at the start of a whole run how long it takes, and at its end what was skipped and why: a
 * suite that skips says so in its title. With REQUIRE_ALL set a skipped test fails the run.
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
    // Tests that `-t` leaves out look like skipped ones.
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
