import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { benchAuthorizationServer } from './authorization-server.ts';
import { benchClient } from './client.ts';
import { benchContactsApi } from './contacts-api.ts';
import { benchMemory } from './memory.ts';
import { benchResourceServer } from './resource-server.ts';
import { benchStart } from './start.ts';

const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));

const [core] = cpus();
const method = `Each app runs in its own process, the load generator in another, all on loopback. Apps take turns, so that
other load affects all equally. A column with × has ratios to the named app; those of CPU time are taken within
a round. The tables show medians. Compare the ratios: absolute values depend on the machine, here ${cpus().length} cores of ${core?.model.trim().replaceAll(/\s+/g, ' ')}, Node ${process.version}.
`;

let report = `# Performance\n\n<!-- Written by \`npm run bench -- --write\`. -->\n\n${method}`;
const print = (text: string): void => {
  report += text;
  process.stdout.write(text);
};

print('\n## Protecting a route\n\n');
await benchResourceServer(print);
await benchContactsApi(print);
await benchClient(print);
await benchAuthorizationServer(print);
await benchStart(print);
await benchMemory(print);
if (process.argv.includes('--write')) writeFileSync(PAGE, report);
process.exit(0);
