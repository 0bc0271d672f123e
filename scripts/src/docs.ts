// Writes the tables of settings into the READMEs and the proofs into docs/security.md. With --check
// it changes nothing, names outdated pages, and fails if there are any.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findProofs, withProofs } from './proofs.ts';
import { packagePath } from './services.ts';

interface Setting {
  readonly name: string;
  readonly meaning: string;
  readonly defaultText: string;
}

const START = '<!-- settings:start, written by `npm run docs` from src/settings.ts -->\n';
const END = '<!-- settings:end -->\n';

const onlyCheck = process.argv.includes('--check');
const root = fileURLToPath(new URL('../../', import.meta.url));

for (const name of ['authorization-server', 'contacts-api', 'contacts-web']) {
  const settings = pathToFileURL(packagePath(name, 'dist/settings.js')).href;
  const { SETTINGS } = (await import(settings)) as { SETTINGS: readonly Setting[] };
  updatePage(`packages/${name}/README.md`, (page) => withTable(page, SETTINGS));
}
updatePage('docs/security.md', (page) => withProofs(page, findProofs(root)));

function updatePage(path: string, write: (page: string) => string): void {
  const page = readFileSync(root + path, 'utf8');
  const upToDate = write(page);
  if (upToDate === page) return;
  if (onlyCheck) {
    process.stderr.write(`${path} is out of date: run npm run docs\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(root + path, upToDate);
    process.stdout.write(`${path}\n`);
  }
}

function withTable(page: string, settings: readonly Setting[]): string {
  const [before, rest] = page.split(START);
  const [, after] = rest?.split(END) ?? [];
  if (before === undefined || after === undefined)
    throw new Error(`the page has no place for the table:\n${START}${END}`);
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
