import { spawn } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoTenantFile } from '@koa-oauth/authorization-server';
import { prepareTenantFile, readPorts } from './addresses.ts';
import { runTogether } from './run-together.ts';
import { describeSpawnError, packagePath, SERVICES, type Service } from './services.ts';

// Folders that a service reads at its start: compiled code and styles. The issuer reloads a changed
// tenant without a restart.
const WATCHED_FOLDERS = ['dist', 'assets', 'public'];
const DEBOUNCE_MS = 200;
const restartTimers = new Map<Service, NodeJS.Timeout>();
let isWatchFaultKnown = false;

const root = fileURLToPath(new URL('../..', import.meta.url));
const tsc = 'node_modules/typescript/bin/tsc';
const compiler = spawn(process.execPath, [tsc, '-b', '--watch', '--preserveWatchOutput'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  // A process group of its own: the compiler starts another process, and both must end.
  detached: true,
});
compiler.on('error', (error) => {
  process.stderr.write(`${describeSpawnError('the compiler', error)}\n`);
  process.exit(1);
});

const supervisor = await runTogether({
  // Sign-ins survive a restart of the authorization server.
  environment: { STATE: 'file:./data/issuer-state.db', WATCH: 'yes', ...process.env },
  onFailure: 'wait',
  hint: 'A change restarts the services that it affects. Ctrl-C stops everything.',
  onStop: stopCompiler,
});

for (const service of SERVICES) {
  const folders = service.packages.flatMap((name) =>
    WATCHED_FOLDERS.map((dir) => packagePath(name, dir)),
  );
  for (const folder of folders.filter((path) => existsSync(path))) {
    watchFolder(folder, true, (file) => {
      // The compiler's own files change with every build.
      if (!file?.endsWith('.tsbuildinfo')) scheduleRestart(service);
    });
  }
}
// An issuer that did not start because of a wrong tenant starts after the next change of the tenant.
const [issuer] = SERVICES;
const { TENANT } = process.env;
// The folder of a user's own tenant may be large, so its subfolders are not watched.
watchFolder(dirname(TENANT || demoTenantFile), !TENANT, () => {
  // The services may use a copy.
  prepareTenantFile(readPorts(process.env), process.env);
  if (issuer !== undefined && !supervisor.isRunning(issuer)) scheduleRestart(issuer);
});

function stopCompiler(): void {
  try {
    if (compiler.pid) process.kill(-compiler.pid);
  } catch {
    // It has ended by itself.
  }
}

function watchFolder(
  folder: string,
  recursive: boolean,
  onChange: (file: string | null) => void,
): void {
  try {
    watch(folder, { recursive }, (_, file) => onChange(file)).on('error', reportWatchFault);
  } catch (error) {
    reportWatchFault(error as Error);
  }
}

// The next folders would fail for the same reason.
function reportWatchFault({ message }: Error): void {
  if (isWatchFaultKnown) return;
  isWatchFaultKnown = true;
  process.stderr.write(
    `Not every change causes a restart (${message}): raise the limit, on Linux with sysctl ` +
      'fs.inotify.max_user_watches or fs.inotify.max_user_instances, then start again.\n',
  );
}

function scheduleRestart(service: Service): void {
  clearTimeout(restartTimers.get(service));
  const timer = setTimeout(() => void restart(service), DEBOUNCE_MS);
  restartTimers.set(service, timer);
}

async function restart(service: Service): Promise<void> {
  await supervisor.restart(service);
  process.stdout.write(`${service.name.padEnd(6)} restarted\n`);
}
