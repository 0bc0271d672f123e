import { spawn } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoTenantFile } from '@koa-oauth/authorization-server';
import { prepareTenantFile, readPorts } from './addresses.ts';
import { runTogether } from './run-together.ts';
import { packagePath, SERVICES, type Service } from './services.ts';

// Folders that a service reads at its start: compiled code and styles. The issuer reloads a changed
// tenant without a restart.
const WATCHED_FOLDERS = ['dist', 'assets', 'public'];
const DEBOUNCE_MS = 200;
const restartTimers = new Map<Service, NodeJS.Timeout>();

const root = fileURLToPath(new URL('../..', import.meta.url));
const compiler = spawn('node_modules/.bin/tsc', ['-b', '--watch', '--preserveWatchOutput'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  // A process group of its own: the compiler starts another process, and both must end.
  detached: true,
});

const supervisor = await runTogether({
  // Sign-ins survive a restart of the authorization server.
  environment: { STATE: 'file:./data/issuer-state.db', WATCH: 'yes', ...process.env },
  onFailure: 'wait',
  hint: 'A change restarts the services that it affects. Ctrl-C stops everything.',
  onStop: () => compiler.pid && process.kill(-compiler.pid),
});

for (const service of SERVICES) {
  const folders = service.packages.flatMap((name) =>
    WATCHED_FOLDERS.map((dir) => packagePath(name, dir)),
  );
  for (const folder of folders.filter((path) => existsSync(path))) {
    watch(folder, { recursive: true }, (_, file) => {
      // The compiler's own files change with every build.
      if (!file?.endsWith('.tsbuildinfo')) scheduleRestart(service);
    });
  }
}
// An issuer that did not start because of a wrong tenant starts after the next change of the tenant.
const [issuer] = SERVICES;
const { TENANT } = process.env;
// The folder of a user's own tenant may be large, so its subfolders are not watched.
watch(dirname(TENANT || demoTenantFile), { recursive: !TENANT }, () => {
  // The services may use a copy.
  prepareTenantFile(readPorts(process.env), process.env);
  if (issuer !== undefined && !supervisor.isRunning(issuer)) scheduleRestart(issuer);
});

function scheduleRestart(service: Service): void {
  clearTimeout(restartTimers.get(service));
  const timer = setTimeout(() => void restart(service), DEBOUNCE_MS);
  restartTimers.set(service, timer);
}

async function restart(service: Service): Promise<void> {
  await supervisor.restart(service);
  process.stdout.write(`${service.name.padEnd(6)} restarted\n`);
}
