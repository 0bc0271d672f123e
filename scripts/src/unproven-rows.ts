import { relative, sep } from 'node:path';
import type { NamedTest, SecurityRow } from './security-table.ts';

/** Of what jest writes with `--json`, what is read here. */
export interface TestResults {
  readonly testResults: readonly {
    /** The absolute path of the file. */
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/**
 * Tells which rows a run of the tests does not prove: for each test that is missing, did not run or
 * failed a line with the row, the test and the reason. Where several tests bear one name, all of
 * them must have passed.
 *
 * @param root the absolute path of the repository that the results are of
 */
export function unprovenRows(
  rows: readonly SecurityRow[],
  { testResults }: TestResults,
  root: string,
): string[] {
  const files = new Map(
    testResults.map(({ name, assertionResults }) => [
      relative(root, name).split(sep).join('/'),
      assertionResults,
    ]),
  );
  const reason = ({ file, name }: NamedTest): string | undefined => {
    const results = files.get(file);
    if (results === undefined) return 'its file is not among the results';
    const statuses = results.filter(({ fullName }) => fullName === name).map((one) => one.status);
    if (statuses.length === 0) return 'there is no such test';
    if (statuses.includes('failed')) return 'it failed';
    if (statuses.some((status) => status !== 'passed')) return 'it did not run';
    return undefined;
  };
  return rows.flatMap((row) =>
    row.tests.flatMap((test) => {
      const why = reason(test);
      return why ? [`line ${row.line}, ${row.threat}\n  ${test.file}: "${test.name}": ${why}`] : [];
    }),
  );
}
