import { SERVERS, type ServerName } from './servers/index.ts';

/** Answer of an authorization server's process to `read`. */
export interface ServerReading {
  /** Microseconds of CPU, user and system, since the start. */
  readonly cpu: number;
  /** Resident memory in bytes. */
  readonly rss: number;
}

/** Answer to `start`: a second server in the process was started and stopped. */
export interface NextStart {
  /** Milliseconds until it listened. */
  readonly elapsed: number;
}

const [name = '', keysFile = ''] = process.argv.slice(2);
const start = await SERVERS[name as ServerName]();
const { url } = await start(keysFile);

process.on('message', async (question) => {
  process.send?.(question === 'start' ? await startAnother() : read());
});
process.on('disconnect', () => process.exit(0));
process.send?.({ url });

async function startAnother(): Promise<NextStart> {
  const begun = performance.now();
  const another = await start(keysFile);
  const elapsed = performance.now() - begun;
  await another.close();
  return { elapsed };
}

function read(): ServerReading {
  const { user, system } = process.cpuUsage();
  return { cpu: user + system, rss: process.memoryUsage.rss() };
}
