// Writes generated parts of pages: the tables of settings into the READMEs, the members of `event` and
// `api` into the README of the authorization server, and the proofs into docs/security.md. With --check
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

interface Member {
  readonly part: string;
  readonly name: string;
  readonly availability: 'served' | 'settable' | 'unavailable';
}

interface Reference {
  membersOf(trigger: string): Member[];
}

const START = '<!-- settings:start, written by `npm run docs` from src/settings.ts -->\n';
const END = '<!-- settings:end -->\n';
const MEMBERS_START =
  '<!-- members:start, written by `npm run docs` from src/actions/reference.ts -->\n';
const MEMBERS_END = '<!-- members:end -->\n';

const onlyCheck = process.argv.includes('--check');
const root = fileURLToPath(new URL('../../', import.meta.url));

for (const name of ['authorization-server', 'contacts-api', 'contacts-web']) {
  const settings = pathToFileURL(packagePath(name, 'dist/settings.js')).href;
  const { SETTINGS } = (await import(settings)) as { SETTINGS: readonly Setting[] };
  updatePage(`packages/${name}/README.md`, (page) => withTable(page, SETTINGS));
}
const reference = packagePath('authorization-server', 'dist/actions/reference.js');
const { membersOf } = (await import(pathToFileURL(reference).href)) as Reference;
updatePage('packages/authorization-server/README.md', (page) =>
  between(
    page,
    MEMBERS_START,
    MEMBERS_END,
    ['post-login', 'credentials-exchange'].flatMap((trigger) =>
      memberRows(trigger, membersOf(trigger)),
    ),
  ),
);
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
  const rows = settings.map(
    ({ name, meaning, defaultText }) =>
      `| \`${name}\` | ${cell(meaning)} | ${cell(defaultText)} |\n`,
  );
  return between(page, START, END, [
    '| setting | meaning | default |\n| --- | --- | --- |\n',
    ...rows,
  ]);
}

/** Returns the table of a trigger, then its unavailable members; a part without any other is one entry. */
function memberRows(trigger: string, members: readonly Member[]): string[] {
  const isMissing = (member: Member) => member.availability === 'unavailable';
  const parts = [...new Set(members.map(({ part }) => part))];
  const of = (part: string) => members.filter((member) => member.part === part);
  const served = parts.flatMap((part) => {
    const shown = of(part)
      .filter((member) => !isMissing(member))
      // Members of members, such as `device.last_ip`, are there together.
      .map((one) => `\`${one.name.split('.')[0]}\`${one.availability === 'settable' ? '\\*' : ''}`);
    return shown.length === 0 ? [] : [`|\`${part}\`|${[...new Set(shown)].join(', ')}|\n`];
  });
  const missing = parts.flatMap((part) =>
    of(part).every(isMissing)
      ? [`\`${part}\``]
      : of(part).flatMap((one) => (isMissing(one) ? [`\`${part}.${one.name}\``] : [])),
  );
  const head = `\n|${trigger}|members|\n|---|---|\n`;
  return [head, ...served, `\nNot available at ${trigger}: ${missing.join(', ')}.\n`];
}

/** Replaces what is between two marks. */
function between(page: string, start: string, end: string, lines: readonly string[]): string {
  const [before, rest] = page.split(start);
  const [, after] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined) {
    throw new Error(`the page has no place for the table:\n${start}${end}`);
  }
  return [before, start, '\n', lines.join('').trimStart(), '\n', end, after].join('');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
