import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.ts';
import { createLogger } from './logger.ts';
import { InvalidSettings, readSettings } from './settings.ts';
import { ContactStore } from './store/contact-store.ts';
import { migrate, openDatabase } from './store/database.ts';
import { addDemoContacts } from './store/demo-contacts.ts';

try {
  await main();
} catch (error) {
  process.stderr.write(`contacts-api: ${describe(error)}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const { port, host, databaseURL, demo } = settings;
  const logger = createLogger(settings.logLevel);

  const database = openDatabase(databaseURL);
  const migrated = await migrate(database).catch((cause: Error) => {
    throw new Error(`the database of DATABASE_URL does not answer: ${cause.message}`, { cause });
  });
  const store = new ContactStore(database);
  if (demo && migrated.includes('0001_contacts')) await addDemoContacts(store);

  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const { port: actualPort } = server.address() as AddressInfo;
  const { baseURL = `http://localhost:${actualPort}` } = settings;
  server.on('request', createApp({ ...settings, baseURL, store, logger }).callback());

  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    server.close(async () => {
      await database.destroy();
      process.exit(0);
    });
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 1000).unref();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.on(signal, stop);

  if (process.send) process.send('ready');
  else process.stdout.write(`contacts API listens on http://${host}:${actualPort}\n`);
}

function describe(error: unknown): string {
  const { code, message, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  if (error instanceof InvalidSettings) return error.message;
  if (code === 'EADDRINUSE')
    return `port ${port} on ${address} is in use: stop what listens there or set PORT`;
  return `cannot start: ${message ?? error}`;
}
