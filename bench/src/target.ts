import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { APPS, type AppName, CLIENT_APPS, CONTACTS_APPS, DPOP_APPS } from './apps/index.ts';
import type { AppOptions } from './apps/make-app.ts';

/** Answer of an app's process to a message. */
export interface Reading {
  /** Microseconds of CPU, user and system, since the start. */
  readonly cpu: number;
}

const [name = '', options = '{}'] = process.argv.slice(2);
const makeApp = await { ...APPS, ...CONTACTS_APPS, ...CLIENT_APPS, ...DPOP_APPS }[
  name as AppName
]();
const app = await makeApp(JSON.parse(options) as AppOptions);
const server = createServer(app).listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: user + system } satisfies Reading);
});
process.on('disconnect', () => process.exit(0));
