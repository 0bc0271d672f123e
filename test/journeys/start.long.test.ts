import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import got from 'got';
import { FormBrowser } from '../support/form-browser.ts';
import { freePorts } from '../support/services.ts';

const script = (name: string) =>
  fileURLToPath(new URL(`../../scripts/dist/${name}.js`, import.meta.url));

let cwd: string;
let running: ChildProcess | undefined;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'koa-oauth-start-'));
});
afterEach(() => {
  running?.kill('SIGKILL');
});
afterAll(async () => {
  await rm(cwd, { recursive: true });
});

/** @param before module that runs before the script */
function run(
  settings: Record<string, string> = {},
  name = 'start',
  before = '',
): {
  child: ChildProcess;
  printed: () => string;
  until: (text: string) => Promise<void>;
} {
  const preload = `--import=data:text/javascript,${encodeURIComponent(before)}`;
  const child = spawn(process.execPath, [preload, script(name)], {
    cwd,
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      printed += chunk;
    });
  }
  const until = async (text: string) => {
    while (!printed.includes(text)) {
      if (child.exitCode !== null) {
        throw new Error(`ended before it printed "${text}":\n${printed}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return { child, printed: () => printed, until };
}

const taken = (await Promise.all([3000, 3001, 3002].map(isTaken))).filter(
  (port) => port !== undefined,
);

(taken.length > 0 ? describe.skip : describe)(
  `npm start${taken.length > 0 ? `: something else listens on ${taken.join(', ')}` : ''}`,
  () => {
    test('prints the default addresses and the demo users', async () => {
      const { child, printed, until } = run();
      await until('Ctrl-C stops all three');
      for (const text of [
        'http://localhost:3000',
        'http://localhost:3001/contacts',
        'http://localhost:3002/',
        '$(npm run -s token -- --user alice)" http://localhost:3001/contacts',
      ]) {
        expect(printed()).toContain(text);
      }
      expect(printed()).toMatch(/alice@example\.com +password alice-demo +\(admin, acme\)/);
      child.kill('SIGINT');
      expect(await once(child, 'exit')).toEqual([0, null]);
    });
  },
);

describe('npm start with other ports', () => {
  let ports: number[];
  let settings: Record<string, string>;
  let web: string;
  let api: string;
  let issuer: string;

  beforeEach(async () => {
    ports = await freePorts(3);
    const [WEB_PORT, API_PORT, ISSUER_PORT] = ports.map(String) as [string, string, string];
    settings = { WEB_PORT, API_PORT, ISSUER_PORT };
    [web, api, issuer] = ports.map((port) => `http://localhost:${port}`) as [
      string,
      string,
      string,
    ];
  });

  test('with DPOP=true the web app binds tokens to keys', async () => {
    const { child, until } = run({ ...settings, DPOP: 'true' });
    await until('Ctrl-C stops all three');
    const browser = new FormBrowser({ stopAt: issuer });
    const { location } = await browser.open(`${web}/login`);
    expect(new URL(location ?? '').searchParams.get('dpop_jkt')).toMatch(/^[\w-]{43}$/);
    child.kill();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'signs in, calls the API and signs out there, and %s ends all services',
    async (signal) => {
      const { child, printed, until } = run(settings);
      await until('Ctrl-C stops all three');
      expect(printed()).toContain(
        `$(ISSUER_BASE_URL=${issuer} npm run -s token -- --user alice)" ${api}/contacts`,
      );
      expect(printed()).not.toMatch(/localhost:300[012]/);

      const browser = new FormBrowser();
      const login = await browser.open(`${web}/contacts`);
      expect(login.url).toContain(`${issuer}/u/login/`);
      const user = { username: 'alice@example.com', password: 'alice-demo' };
      const consent = await browser.submit(login, 'form', user);
      const contacts = await browser.submit(consent, 'form', { action: 'accept' });
      expect(contacts.url).toBe(`${web}/contacts`);
      expect(contacts.html.text).toContain('Ada Lovelace');
      const signedOut = await browser.submit(contacts, 'form[action="/logout"]', {});
      expect(signedOut.url).toBe(`${web}/`);
      const docs = (await got(`${api}/docs`, { headers: { accept: 'text/html' } })).body;
      expect(docs).toContain(issuer);

      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([0, null]);
      expect(await Promise.all(ports.map(isTaken))).toEqual([undefined, undefined, undefined]);
    },
  );

  test('names the setting of each port in use, and starts no service', async () => {
    const others = await Promise.all(ports.slice(1).map(listen));
    const { child, printed } = run(settings);
    expect(await once(child, 'close')).toEqual([1, null]);
    await Promise.all(others.map((other) => once(other.close(), 'close')));
    expect(printed().trim().split('\n')).toEqual([
      `port ${ports[1]} on 127.0.0.1 is in use: stop what listens there or set API_PORT`,
      `port ${ports[2]} on 127.0.0.1 is in use: stop what listens there or set ISSUER_PORT`,
    ]);
  });

  test.each([
    ['start', '/nowhere/node', / cannot be started \(spawn \S+ ENOENT\): check that program, /],
    ['dev', '/nowhere/node', /^the compiler cannot be started \(spawn \S+ ENOENT\): check that /],
    ['dev', '/usr/bin/true', / ended by itself \(exit code 0\); the others are stopped too$/],
  ])('npm run %s says in one sentence that %s does not start', async (name, node, sentence) => {
    const { child, printed } = run(settings, name, `process.execPath = '${node}'`);
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(printed().trim().split('\n')).toEqual([expect.stringMatching(sentence)]);
  });

  test('ends in silence when its output is read no more', async () => {
    const { child, printed } = run({ ...settings, LOG_LEVEL: 'info' });
    child.stdout?.once('data', () => child.stdout?.destroy());
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(printed()).not.toContain('EPIPE');
    expect(await Promise.all(ports.map(isTaken))).toEqual([undefined, undefined, undefined]);
  });

  test('npm run dev says once how to have more watchers, and goes on', async () => {
    const before = `
      import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      import { EventEmitter } from 'node:events';
      let serial = 0;
      fs.watch = () => {
        const error = Object.assign(new Error('ENOSPC: no watcher is left'), { code: 'ENOSPC' });
        serial += 1;
        if (serial % 2) throw error;
        const watcher = new EventEmitter();
        setImmediate(() => watcher.emit('error', error));
        return watcher;
      };
      syncBuiltinESMExports();`;
    const { child, printed, until } = run(settings, 'dev', before);
    await until('Ctrl-C stops everything');
    await until('fs.inotify.max_user_watches');
    expect((await got(`${web}/healthz`)).statusCode).toBe(200);
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(printed().match(/no watcher is left/g)).toHaveLength(1);
  });

  test('refuses one port for two services', async () => {
    const { child, printed } = run({ ...settings, WEB_PORT: String(settings.API_PORT) });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(printed()).toContain('is in use: stop what listens there or set API_PORT');
  });

  test('names every setting that is no port', async () => {
    const { child, printed } = run({ ...settings, WEB_PORT: '0', ISSUER_PORT: 'a-port' });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(printed()).toContain('WEB_PORT must be a port number from 1 to 65535');
    expect(printed()).toContain('ISSUER_PORT must be a port number from 1 to 65535');
    expect(printed()).not.toContain('a-port');
  });
});

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

async function isTaken(port: number): Promise<number | undefined> {
  try {
    await once((await listen(port)).close(), 'close');
    return undefined;
  } catch {
    return port;
  }
}
