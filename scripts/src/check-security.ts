import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readSecurityTable } from './security-table.ts';
import { type TestResults, unprovenRows } from './unproven-rows.ts';

const USAGE = `usage: npm run check:security -- results.json

Compares docs/security.md with the results of a whole run of the tests, which
npm test -- --json --outputFile=results.json writes, and names each row that they do not prove.
`;

const root = fileURLToPath(new URL('../../', import.meta.url));
const resultsFiles = process.argv.slice(2);
if (resultsFiles.length === 0) {
  process.stderr.write(USAGE);
  process.exit(2);
}
try {
  const rows = readSecurityTable(readFileSync(`${root}docs/security.md`, 'utf8'));
  const runs: TestResults[] = resultsFiles.map((file) => JSON.parse(readFileSync(file, 'utf8')));
  const results = { testResults: runs.flatMap(({ testResults }) => testResults) };
  const unproven = unprovenRows(rows, results, root);
  if (unproven.length > 0) {
    process.stderr.write(`docs/security.md says what no test proves:\n${unproven.join('\n')}\n`);
    process.exitCode = 1;
  } else {
    process.stdout.write(`docs/security.md: ${rows.length} rows, each proved by its tests\n`);
  }
} catch (error) {
  process.stderr.write(`check-security: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
