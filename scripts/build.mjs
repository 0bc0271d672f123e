// Installs dependencies if the lock file has changed since the last installation, then builds. Plain
// JavaScript without dependencies, because it runs in a fresh clone. Arguments go to `tsc -b`.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const changedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}

// npm writes the second file at the end of an installation.
if (changedAt(`${root}package-lock.json`) > changedAt(`${root}node_modules/.package-lock.json`)) {
  process.stderr.write('Installing dependencies (npm ci); this takes about 20 seconds.\n');
  const { npm_execpath: npm } = process.env;
  const ci = ['ci', '--no-audit', '--no-fund'];
  if (npm) run(process.execPath, [npm, ...ci]);
  else run('npm', ci, { shell: process.platform === 'win32' });
}
run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-b', ...process.argv.slice(2)]);
