import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from '@jest/globals';
import { readSecurityTable } from '../../scripts/src/security-table.ts';
import { unprovenRows } from '../../scripts/src/unproven-rows.ts';
import { read } from '../support/snippets.ts';
import { hasTest } from '../support/test-titles.ts';

const HEAD = '| threat | measure | test |\n| --- | --- | --- |\n';
const link = (name: string, file = 'test/a.test.ts') => `[\`${name}\`](../${file})`;

describe('the rows of a page', () => {
  test('are read with their lines, each test of each', () => {
    const page = [
      '# Security',
      '| what | where |',
      '| --- | --- |',
      '| keys | here |',
      '',
      '| threat | measure | test |',
      '| --- | --- | --- |',
      `| §1 one | none | ${link('a\\|b "c"')}<br>${link('d', 'test/b.test.ts')} |`,
      '',
      'Text.',
    ].join('\n');
    expect(readSecurityTable(page)).toEqual([
      {
        line: 8,
        threat: '§1 one',
        tests: [
          { file: 'test/a.test.ts', name: 'a|b "c"' },
          { file: 'test/b.test.ts', name: 'd' },
        ],
      },
    ]);
  });

  test.each([
    ['no test', '| one | two | |'],
    ['no measure', `| one | | ${link('a')} |`],
    ['words for a test', '| one | two | none yet |'],
    ['words beside a test', `| one | two | ${link('a')} and by hand |`],
    ['four cells', `| one | two | three | ${link('a')} |`],
    ['no row', ''],
  ])('%s is an error', (_, row) => {
    expect(() => readSecurityTable(`${HEAD}${row}\n`)).toThrow(/^line 3 |^there is no row/);
  });
});

const root = '/repository';
const page = `${HEAD}| §1 one | two | ${link('group does it')}<br>${link('group and more')} |\n`;
const rows = readSecurityTable(page);

function resultsOf(statuses: Record<string, string>, file = 'test/a.test.ts') {
  const assertionResults = Object.entries(statuses).map(([fullName, status]) => ({
    fullName,
    status,
  }));
  return { testResults: [{ name: `${root}/${file}`, assertionResults }] };
}

const good = { 'group does it': 'passed', 'group and more': 'passed', 'group else': 'failed' };

describe('a row', () => {
  test('is proved by its tests, when all of them passed', () => {
    expect(unprovenRows(rows, resultsOf(good), root)).toEqual([]);
  });

  test.each([
    [
      'was renamed',
      { 'group and more': 'passed', 'group does that': 'passed' },
      'there is no such',
    ],
    ['was skipped', { ...good, 'group does it': 'pending' }, 'it did not run'],
    ['is yet to be written', { ...good, 'group does it': 'todo' }, 'it did not run'],
    ['failed', { ...good, 'group does it': 'failed' }, 'it failed'],
  ])('whose test %s is named, with the test and the reason', (_, statuses, reason) => {
    const unproven = unprovenRows(rows, resultsOf(statuses), root);
    expect(unproven).toHaveLength(1);
    expect(unproven[0]).toMatch(/^line 3, §1 one\n {2}test\/a\.test\.ts: "group does it": /);
    expect(unproven[0]).toContain(reason);
  });

  test('whose file did not run, or is another of that name, is named for each test', () => {
    const elsewhere = resultsOf(good, 'packages/client/test/a.test.ts');
    expect(unprovenRows(rows, elsewhere, root)).toHaveLength(2);
    expect(unprovenRows(rows, { testResults: [] }, root)[0]).toContain('not among the results');
  });

  test('of two tests with one name needs both', () => {
    const [file] = resultsOf(good).testResults;
    const twice = { fullName: 'group does it', status: 'failed' };
    const testResults = [
      { name: '', ...file, assertionResults: [twice, ...file!.assertionResults] },
    ];
    expect(unprovenRows(rows, { testResults }, root)).toHaveLength(1);
  });
});

describe('a test by its text alone', () => {
  const source = `
    describe('group', () => {
      test('does it', () => {});
      test.concurrent("it's done", async () => {});
      test.each([
        ['alg none', 400],
        ['no alg', 401],
      ])('%s: %i', () => {});
      test.each([['x', { a: 'bee' }]])('the value %j of %s', () => {});
    });
    (available ? describe : describe.skip)(\`with \${store}\`, () => test('it holds', () => {}));
    const store = 'Redis';
  `;
  test.each([
    'group does it',
    "group it's done",
    'group alg none: 400',
    'group the value {"a":"bee"} of x',
    'with Redis it holds',
  ])('%s is there', (name) => {
    expect(hasTest(source, name)).toBe(true);
  });

  test('a group alone counts: only a run can tell it from a test', () => {
    expect(hasTest(source, 'group')).toBe(true);
  });

  test.each([
    'group does that',
    'does it again',
    'group alg nothing: 400',
    'group alg none: 404',
    'group the value {"a":"cee"} of x',
    'with memory it holds',
    '',
  ])('"%s" is not', (name) => {
    expect(hasTest(source, name)).toBe(false);
  });
});

describe('npm run check:security', () => {
  const directory = mkdtempSync(join(tmpdir(), 'check-security-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const script = fileURLToPath(new URL('../../scripts/dist/check-security.js', import.meta.url));
  const repository = fileURLToPath(new URL('../../', import.meta.url));
  const table = readSecurityTable(read('docs/security.md'));

  async function check(statusOf: (name: string) => string) {
    const tests = table.flatMap((row) => row.tests);
    const testResults = [...new Set(tests.map(({ file }) => file))].map((file) => ({
      name: join(repository, file),
      assertionResults: tests
        .filter((one) => one.file === file)
        .map(({ name }) => ({ fullName: name, status: statusOf(name) })),
    }));
    const results = join(directory, 'results.json');
    writeFileSync(results, JSON.stringify({ testResults }));
    return promisify(execFile)(process.execPath, [script, results]).then(
      ({ stdout }) => ({ code: 0, text: stdout }),
      ({ code, stderr }) => ({ code, text: stderr }),
    );
  }

  test('ends with 0 and the number of rows where all passed', async () => {
    expect(await check(() => 'passed')).toEqual({
      code: 0,
      text: `docs/security.md: ${table.length} rows, each proved by its tests\n`,
    });
  });

  test('ends with 1 and names the row where one did not', async () => {
    const [first] = table;
    const name = first?.tests[0]?.name;
    const { code, text } = await check((each) => (each === name ? 'failed' : 'passed'));
    expect(code).toBe(1);
    expect(text).toContain(`line ${first?.line}, ${first?.threat}`);
    expect(text).toContain('it failed');
  });
});
