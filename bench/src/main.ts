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
other load affects all equally. A column with × has ratios to the named app; those of CPU time are taken within
a round. The tables show medians. Compare the ratios: absolute values depend on the machine, here ${cpus().length} cores of ${core?.model.trim().replaceAll(/\s+/g, ' ')}, Node ${process.version}.
`;

let report = '';
const print = (text: string): void => {
  report += text;
  process.stdout.write(text);
};
const isWritten = process.argv.includes('--write');

// `--route` measures the protected route with good tokens, and adds it to the page: for another version
// of Node.
if (process.argv.includes('--route')) {
  const title = `## Protecting a route on Node ${process.version.split('.')[0]?.slice(1)}`;
  print(`\n${title}\n\nNode ${process.version}.\n\n`);
  await benchResourceServer(print, 200);
  const [page = ''] = readFileSync(PAGE, 'utf8').split(`\n${title}\n`);
  if (isWritten) writeFileSync(PAGE, `${page.trimEnd()}\n${report.trimEnd()}\n`);
} else if (process.argv.includes('--search')) {
  // Alone, because it fills both databases for minutes.
  await benchSearch(print);
} else if (process.argv.includes('--dpop')) {
  await benchDpop(print);
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
