import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { afterEach, describe, expect, test } from '@jest/globals';

const [index, log] = ['index', 'log'].map((name) => new URL(`../dist/${name}.js`, import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Runs a program with this code as its `start`. */
function run(start: string, { ipc = false, options = 'graceMs: 1000' } = {}) {
  const program = `
    import { serve, StartError } from '${index}';
    await serve({ name: 'a-service', ${options}, async start(service) { ${start} } });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
  });
  children.push(child);
  const printed = { out: '', err: '' };
  child.stdout?.on('data', (chunk) => {
    printed.out += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    printed.err += chunk;
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return { child, printed, ended };
}

const line = (child: ChildProcess) => once(child.stdout as NodeJS.ReadableStream, 'data');

const LISTEN = `
  service.onStop((reason) => process.stdout.write('first ' + reason + ';'));
  const server = await service.listen({ port: 0, host: '127.0.0.1' });
  server.on('request', (_, response) => response.end('answered'));
  service.onStop((reason) => process.stdout.write('last ' + reason + ';'));
  return 'http://127.0.0.1:' + server.port;`;

describe('a service', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    'prints where it listens, answers, and stops on %s in the reverse order',
    async (signal) => {
      const { child, printed, ended } = run(LISTEN);
      await line(child);
      const url = printed.out.trim();
      expect(await (await fetch(url)).text()).toBe('answered');
      child.kill(signal);
      child.kill(signal);
      expect(await ended).toBe(0);
      expect(printed).toEqual({ out: `${url}\nlast ${signal};first ${signal};`, err: '' });
    },
  );

  test('answers and stops while its output is a full disk', async () => {
    const full = openSync('/dev/full', 'w');
    const program = `
      import { serve } from '${index}';
      import { createLogger } from '${log}';
      const logger = createLogger({ name: 'a-service' });
      await serve({ name: 'a-service', graceMs: 1000, async start(service) {
        const server = await service.listen({ port: 0, host: '127.0.0.1' });
        server.on('request', (_, response) => {
          logger.info('x'.repeat(100_000));
          response.end('answered');
        });
        process.stdout.write('a line');
        process.stderr.write('a line');
        process.send(server.port);
        logger.info('started');
        return 'ready';
      } });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', full, full, 'ipc'],
    });
    children.push(child);
    closeSync(full);
    const [port] = await once(child, 'message');
    for (let count = 0; count < 30; count += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}`);
      expect(await answer.text()).toBe('answered');
    }
    child.kill();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  test('sends its parent ready, and stops when the parent is gone', async () => {
    const { child, printed, ended } = run(LISTEN, { ipc: true });
    expect(await once(child, 'message')).toEqual(['ready', undefined]);
    child.disconnect();
    expect(await ended).toBe(0);
    expect(printed).toEqual({ out: 'last disconnect;first disconnect;', err: '' });
  });

  test('stops when the parent is gone before it hears ready', async () => {
    const { child, printed, ended } = run(
      `process.stdout.write('starts');
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
       return '';`,
      { ipc: true },
    );
    await line(child);
    child.disconnect();
    expect(await ended).toBe(0);
    expect(printed).toEqual({ out: 'starts', err: '' });
  });

  test('stops during its start: open parts are closed, and nothing is printed', async () => {
    const { child, printed, ended } = run(`
      service.onStop(() => fail());
      let fail;
      const failed = new Promise((_, reject) => { fail = () => reject(new Error('closed')); });
      process.stdout.write('starts');
      setInterval(() => {}, 1000);
      await failed;`);
    await line(child);
    child.kill();
    expect(await ended).toBe(0);
    expect(printed).toEqual({ out: 'starts', err: '' });
  });

  test('closes the other parts when one can not be closed', async () => {
    const { child, printed, ended } = run(`
      service.onStop(() => process.stdout.write('closed'));
      service.onStop(() => { throw new Error('away'); });
      setInterval(() => {}, 1000);
      return '';`);
    await line(child);
    child.kill();
    expect(await ended).toBe(0);
    expect(printed).toEqual({ out: '\nclosed', err: '' });
  });

  test('ends its stop at the deadline', async () => {
    const { child, ended } = run(
      "service.onStop(() => new Promise(() => {})); setInterval(() => {}, 1000); return '';",
      { options: 'graceMs: 1000, deadlineMs: 50' },
    );
    await line(child);
    child.kill();
    expect(await ended).toBe(0);
  });
});

describe('a start that fails', () => {
  test.each([
    [
      'a StartError',
      "throw new StartError('no_keys', 'make the keys');",
      'a-service: make the keys\n',
    ],
    ['any other error', "throw new Error('away');", 'a-service: cannot start: away\n'],
    ['a thrown null', 'throw null;', 'a-service: cannot start: null\n'],
    [
      'a port in use',
      `const { port } = await service.listen({ port: 0, host: '127.0.0.1' });
       await service.listen({ port, host: '127.0.0.1', setting: 'CONTROL' });`,
      expect.stringMatching(
        /^a-service: port \d+ on 127\.0\.0\.1 is in use: stop what listens there or set CONTROL\n$/,
      ),
    ],
  ])('with %s prints one line and ends with 1', async (_, start, err) => {
    const { printed, ended } = run(start);
    expect(await ended).toBe(1);
    expect(printed).toEqual({ out: '', err });
  });
});
