import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runTogether } from './run-together.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

// The compiler writes what changed; each service watches the files it has loaded, its packages' too.
const compiler = spawn('npx', ['tsc', '-b', '--watch', '--preserveWatchOutput'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
});

await runTogether({
  // Sign-ins survive a restart of the authorization server.
  environment: { STATE: 'file:./data/issuer-state.db', ...process.env },
  nodeOptions: ['--watch', '--watch-preserve-output'],
  onStop: () => compiler.kill(),
});
