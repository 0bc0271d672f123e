// Writes the tables of settings into the READMEs, from what the services read. With --check it
// changes nothing, names the READMEs that are out of date, and fails if there are any.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { packagePath } from './services.ts';

interface Setting {
  readonly name: string;
  readonly meaning: string;
  readonly defaultText: string;
}

const START = '<!-- settings:start, written by `npm run docs` from src/settings.ts -->\n';
const END = '<!-- settings:end -->\n';

const onlyCheck = process.argv.includes('--check');
for (const name of ['authorization-server', 'contacts-api', 'contacts-web']) {
  const readme = packagePath(name, 'README.md');
  const { SETTINGS } = (await import(
    pathToFileURL(packagePath(name, 'dist/settings.js')).href
  )) as {
    SETTINGS: readonly Setting[];
  };
  const page = readFileSync(readme, 'utf8');
  const upToDate = withTable(page, SETTINGS);
  if (upToDate === page) continue;
  if (onlyCheck) {
    process.stderr.write(`packages/${name}/README.md is out of date: run npm run docs\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(readme, upToDate);
    process.stdout.write(`packages/${name}/README.md\n`);
  }
}

function withTable(page: string, settings: readonly Setting[]): string {
  const [before, rest] = page.split(START);
  const [, after] = rest?.split(END) ?? [];
  if (before === undefined || after === undefined)
    throw new Error(`no place for it:\n${START}${END}`);
  const rows = settings.map(
    ({ name, meaning, defaultText }) =>
      `| \`${name}\` | ${cell(meaning)} | ${cell(defaultText)} |\n`,
  );
  const head = '\n| setting | meaning | default |\n| --- | --- | --- |\n';
  return [before, START, head, ...rows, '\n', END, after].join('');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
