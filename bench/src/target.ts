import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { APPS, type AppName, type AppOptions } from './apps/index.ts';

/** One app in a process of its own, which tells its CPU time and memory when asked. */
export interface Reading {
  /** Microseconds of CPU, user and system, since the start. */
  readonly cpu: number;
  /** Bytes in use on the heap, after a collection where the process may ask for one. */
  readonly heap: number;
}

const [name = '', options = '{}'] = process.argv.slice(2);
const makeApp = await APPS[name as AppName]();
const app = await makeApp(JSON.parse(options) as AppOptions);
const server = createServer(app).listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  globalThis.gc?.();
  process.send?.({ cpu: user + system, heap: process.memoryUsage().heapUsed } satisfies Reading);
});
process.on('disconnect', () => process.exit(0));
