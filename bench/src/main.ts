import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { benchAuthorizationServer } from './authorization-server.ts';
import { benchClient } from './client.ts';
import { benchContactsApi } from './contacts-api.ts';
import { benchDpop } from './dpop.ts';
import { benchMemory } from './memory.ts';
import { benchResourceServer } from './resource-server.ts';
import { benchSearch } from './search.ts';
import { benchStart } from './start.ts';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));

const [core] = cpus();
const method = `Each app runs in its own process, the load generator in another, all on loopback. Apps take turns, so that
other load affects all equally. A column with × has ratios to the named app, within a round for CPU time.
Values are medians. Compare the ratios: absolute values depend on the machine, here ${cpus().length} cores of ${core?.model.trim().replaceAll(/\s+/g, ' ')}, Node ${process.version}.
`;

let report = '';
const print = (text: string): void => {
  report += text;
  process.stdout.write(text);
};
const isWritten = process.argv.includes('--write');

/** Chapters that can be measured alone. `--search` fills both databases for minutes. */
const CHAPTERS: Readonly<Record<string, () => Promise<void>>> = {
  '--route': benchRoute,
  '--search': () => benchSearch(print),
  '--dpop': () => benchDpop(print),
};

/** Measures the protected route with good tokens, for another version of Node. */
async function benchRoute(): Promise<void> {
  const [major] = process.versions.node.split('.');
  print(`## Protecting a route on Node ${major}\n\nNode ${process.version}.\n\n`);
  await benchResourceServer(print, 200);
}

/** Replaces the chapter of the page that has the heading of this one, or adds this one. */
function withChapter(page: string, chapter: string): string {
  const [heading = ''] = chapter.split('\n', 1);
  const [before = '', old = ''] = page.split(`\n${heading}\n`);
  // It ends at the next heading that is not below its own.
  const end = old.search(new RegExp(`^#{1,${heading.indexOf(' ')}} `, 'm'));
  const parts = [before, chapter, end === -1 ? '' : old.slice(end)].map((part) => part.trim());
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

const alone = process.argv.find((argument) => Object.hasOwn(CHAPTERS, argument));
if (alone !== undefined) {
  await CHAPTERS[alone]?.();
  const chapters = report.split(/^(?=## )/m);
  if (isWritten) writeFileSync(PAGE, chapters.reduce(withChapter, readFileSync(PAGE, 'utf8')));
} else {
  print(`# Performance\n\n<!-- Written by \`npm run bench -- --write\`. -->\n\n${method}`);
  print('\n## Protecting a route\n\n');
  await benchResourceServer(print);
  await benchDpop(print);
  await benchContactsApi(print);
  await benchClient(print);
  await benchAuthorizationServer(print);
  await benchStart(print);
  await benchMemory(print);
  if (isWritten) writeFileSync(PAGE, report);
}
process.exit(0);
