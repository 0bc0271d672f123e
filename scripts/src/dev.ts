import { spawn } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoTenantFile } from '@koa-oauth/authorization-server';
import { runTogether } from './run-together.ts';
import { packagePath, SERVICES, type Service } from './services.ts';

// What a service reads when it starts: its code, and that of its packages, as the compiler wrote
// it; its styles. The issuer takes a changed tenant without a restart.
const WATCHED = ['dist', 'assets', 'public'];
const SETTLED_AFTER = 200;
const settling = new Map<Service, NodeJS.Timeout>();

const root = fileURLToPath(new URL('../..', import.meta.url));
const compiler = spawn('node_modules/.bin/tsc', ['-b', '--watch', '--preserveWatchOutput'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  // Its own group, since it starts a process in turn, and all of it must go.
  detached: true,
});

const supervisor = await runTogether({
  // Sign-ins survive a restart of the authorization server.
  environment: { STATE: 'file:./data/issuer-state.db', WATCH: 'yes', ...process.env },
  onFailure: 'wait',
  hint: 'A change restarts what it concerns. Ctrl-C stops all of it.',
  onStop: () => compiler.pid && process.kill(-compiler.pid),
});

for (const service of SERVICES) {
  const folders = service.packages.flatMap((name) => WATCHED.map((dir) => packagePath(name, dir)));
  for (const folder of folders.filter((path) => existsSync(path))) {
    watch(folder, { recursive: true }, (_, file) => {
      // The compiler's notes to itself change with every build.
      if (!file?.endsWith('.tsbuildinfo')) settle(service);
    });
  }
}
// An issuer that a wrong tenant kept from starting starts once it is right.
const [issuer] = SERVICES;
const { TENANT } = process.env;
// A tenant of one's own may lie in a folder with much below it.
watch(dirname(TENANT || demoTenantFile), { recursive: !TENANT }, () => {
  if (issuer !== undefined && !supervisor.isRunning(issuer)) settle(issuer);
});

function settle(service: Service): void {
  clearTimeout(settling.get(service));
  const timer = setTimeout(() => void restart(service), SETTLED_AFTER);
  settling.set(service, timer);
}

async function restart(service: Service): Promise<void> {
  await supervisor.restart(service);
  process.stdout.write(`${service.name.padEnd(6)} restarted\n`);
}
