// Installs dependencies if the lock file has changed since the last installation, then builds. Plain
// JavaScript without dependencies, because it runs in a fresh clone. Arguments go to `tsc -b`.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

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
const projects = process.argv.slice(2);
run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-b', ...projects]);
if (projects.length === 0 || projects.includes('packages/contacts-api')) copyViewer();

/**
 * Copies the viewer of the API's page `/docs` into `dist`, plain and compressed, so that the API does
 * not depend on its package at run time.
 */
function copyViewer() {
  const source = `${root}node_modules/openapi-explorer/dist/browser/openapi-explorer.min.js`;
  const target = `${root}packages/contacts-api/dist/viewer.js`;
  if (changedAt(`${target}.gzip`) > changedAt(source)) return;
  const script = readFileSync(source);
  copyFileSync(`${root}node_modules/openapi-explorer/LICENSE`, `${target}.LICENSE.txt`);
  writeFileSync(target, script);
  writeFileSync(`${target}.br`, brotliCompressSync(script));
  writeFileSync(`${target}.gzip`, gzipSync(script, { level: 9 }));
}
