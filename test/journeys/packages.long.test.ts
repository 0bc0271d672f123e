import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  EmptyFolder,
  LIBRARIES,
  otherNode,
  type Packed,
  plainEnvironment,
  registryAnswers,
} from '../support/empty-folder.ts';
import { FormBrowser } from '../support/form-browser.ts';
import { freePorts } from '../support/services.ts';
import { fillIn, read, snippet, snippets } from '../support/snippets.ts';

const ENTRIES = [
  '@koa-oauth/issuer',
  '@koa-oauth/issuer/otel',
  '@koa-oauth/issuer/testing',
  '@koa-oauth/resource-server',
  '@koa-oauth/resource-server/otel',
  '@koa-oauth/resource-server/redis',
  '@koa-oauth/resource-server/postgres',
  '@koa-oauth/client',
  '@koa-oauth/client/otel',
  '@koa-oauth/client/sqlite',
  '@koa-oauth/client/redis',
  '@koa-oauth/client/postgres',
  '@koa-oauth/client/testing',
  '@koa-oauth/service',
  '@koa-oauth/service/log',
  '@koa-oauth/service/sqlite',
  '@koa-oauth/service/telemetry',
  '@koa-oauth/authorization-server',
  '@koa-oauth/authorization-server/testing',
];
const NEWEST = 26;

// Names that the snippets of the pages use, and that a reader defines.
const YOURS = `
declare const issuerBaseURL: string, baseURL: string, audience: string, clientSecret: string;
declare const TEST_DATABASE_URL: string;
declare const app: import('koa'), ctx: import('koa').Context;
declare const router: import('@koa/router').Router<{ auth?: import('@koa-oauth/resource-server').Auth }>;
declare const list: import('koa').Middleware, replace: typeof list, stock: typeof list, admin: typeof list;
declare const acme: typeof list, staff: typeof list, own: typeof list;
declare const account: typeof list, pay: typeof list, reports: typeof list;
declare const changePassword: typeof list, showReports: typeof list, showAdmin: typeof list;
declare const log: { info(event: object): void }, counter: { add(by: number, labels: object): void };
declare const url: string, set: import('@koa-oauth/resource-server').ExpiringSet;
declare const isRevoked: import('@koa-oauth/resource-server').IsRevoked;
declare const webSockets: { handleUpgrade(request: object, socket: object, head: Buffer, done: (webSocket: {
  once(event: 'close', listener: () => void): void, send(text: string): void, close(code: number): void }) => void): void };
declare function myStore(options: object): import('@koa-oauth/client').SessionStore;
declare function createApp(options: object): { listen(port: number): import('node:http').Server };
declare function statusOf(server: import('node:http').Server, token: string): Promise<number>;
declare function expect(value: unknown): { toBe(value: unknown): void; toContain(value: unknown): void };
declare const auth: typeof import('@koa-oauth/resource-server').auth;
declare const requiresAuth: typeof import('@koa-oauth/client').requiresAuth;
declare const claimIncludes: typeof import('@koa-oauth/client').claimIncludes;
`;

const root = fileURLToPath(new URL('../..', import.meta.url));
const tsc = join(root, 'node_modules/typescript/bin/tsc');

const { devDependencies = {} } = JSON.parse(read('package.json'));
const optional = Object.entries(
  JSON.parse(read('packages/service/package.json')).peerDependencies,
).flatMap(([name, range]) => (name.startsWith('@opentelemetry/') ? [`${name}@${range}`] : []));
const online = await registryAnswers();
const newestNode = online ? await otherNode(NEWEST) : undefined;

let folder: EmptyFolder;
let packages: Packed[];
beforeAll(async () => {
  folder = await EmptyFolder.make();
  packages = await folder.packLibraries();
});
afterAll(() => folder.remove());

interface Manifest {
  readonly name: string;
  readonly description?: string;
  readonly keywords?: string[];
  readonly license?: string;
  readonly publishConfig?: { access?: string };
  readonly repository?: { directory?: string };
  readonly engines?: { node?: string };
  readonly sideEffects?: boolean | string[];
  readonly exports?: Record<string, { types: string; default: string }>;
  readonly bin?: Record<string, string>;
  readonly scripts?: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
}

describe.each(LIBRARIES)('the package %s', (library) => {
  let packed: Packed;
  let manifest: Manifest;
  const own = JSON.parse(read('package.json')) as Manifest;
  beforeAll(() => {
    packed = packages.find((one) => one.library === library) as Packed;
    manifest = JSON.parse(readFileSync(join(packed.unpacked, 'package.json'), 'utf8'));
  });

  test('contains its code, README and license only', () => {
    const assets = library === 'authorization-server' ? /^(public|tenant)\// : /^$/;
    const others = packed.files.filter(
      (path) => !/^dist\/.*\.(js|d\.ts)$/.test(path) && !assets.test(path),
    );
    expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
    expect(packed.files.filter((path) => /\.test\.|\.map$/.test(path))).toEqual([]);
    expect(packed.files.some((path) => path.startsWith('dist/'))).toBe(true);
    expect(readFileSync(join(packed.unpacked, 'LICENSE'), 'utf8')).toBe(read('LICENSE'));
  });

  test('contains no path of this machine', () => {
    const naming = packed.files.filter((path) =>
      readFileSync(join(packed.unpacked, path), 'utf8').includes(root),
    );
    expect(naming).toEqual([]);
  });

  test('describes itself in package.json', () => {
    expect(manifest.name).toBe(`@koa-oauth/${library}`);
    expect(manifest.license).toBe('MIT');
    // Without this, npm publishes a scoped package as private.
    expect(manifest.publishConfig).toEqual({ access: 'public' });
    expect(manifest.engines).toEqual(own.engines);
    expect(manifest.description).toMatch(/\w+ \w+/);
    expect(manifest.keywords?.length).toBeGreaterThan(3);
    // The packages name the repository if the workspace does.
    expect(manifest.repository).toEqual(
      own.repository && { ...own.repository, directory: `packages/${library}` },
    );
    // An install runs no code.
    expect(manifest.scripts).toBeUndefined();
  });

  test('contains each entry, with its types, and each program', () => {
    const named = Object.values(manifest.exports ?? {}).flatMap((entry) => Object.values(entry));
    expect(named.length).toBeGreaterThan(0);
    const programs = Object.values(manifest.bin ?? {});
    for (const path of [...named, ...programs])
      expect(packed.files).toContain(path.replace('./', ''));
    for (const path of programs)
      expect(readFileSync(join(packed.unpacked, path), 'utf8')).toMatch(
        /^#!\/usr\/bin\/env node\n/,
      );
    // A file that runs at its import is a program, not an entry.
    const effects = manifest.sideEffects === false ? [] : manifest.sideEffects;
    expect(effects).toEqual(expect.any(Array));
    for (const path of effects as string[]) expect(named).not.toContain(path);
    expect(effects).toEqual(expect.arrayContaining(programs));
  });

  test('depends on versions, not on paths', () => {
    const wanted = { ...manifest.dependencies, ...manifest.peerDependencies };
    const version = /[\^~]?\d+\.\d+\.\d+/.source;
    for (const range of Object.values(wanted)) {
      expect(range).toMatch(new RegExp(`^${version}( \\|\\| ${version})*$`));
    }
  });
});

(online ? describe : describe.skip)(
  `outside the workspace${online ? '' : ': no answer from the npm registry'}`,
  () => {
    beforeAll(async () => {
      await folder.install([
        ...packages.map(({ tarball }) => tarball),
        ...['koa', '@koa/router', 'zod', '@types/koa', 'libsql', 'ioredis', 'pg'],
        ...optional,
        `@types/node@${devDependencies['@types/node']}`,
      ]);
    });

    const names = `for (const entry of ${JSON.stringify(ENTRIES)})
      console.log(entry, Object.keys(await import(entry)).join());`;
    let exported: string;
    beforeAll(async () => {
      const parameters = ['--input-type=module', '-e', names];
      exported = (await promisify(execFile)(process.execPath, parameters, { cwd: root })).stdout;
      expect(exported.split('\n')).toHaveLength(ENTRIES.length + 1);
      await folder.write('names.js', names);
    });

    test('each entry can be imported', async () => {
      expect(await folder.run(process.execPath, ['names.js'])).toBe(exported);
    });

    const onNewest = `Node ${NEWEST}${newestNode ? '' : ': not available'}`;
    (newestNode ? describe : describe.skip)(onNewest, () => {
      test('each entry can be imported', async () => {
        const printed = await folder.run('npx', [...(newestNode ?? []), 'names.js']);
        expect(printed).toBe(exported);
      });
    });

    test.each([
      ['nodenext', 'nodenext'],
      ['preserve', 'bundler'],
    ])(
      'types: module %s, resolution %s, strict, libraries checked too',
      async (module, moduleResolution) => {
        const whole = [
          'README.md',
          'docs/resource-server.md',
          'docs/client.md',
          ...LIBRARIES.map((library) => `packages/${library}/README.md`),
        ].flatMap((page) => snippets(page, 'ts').filter((code) => !/^[^/\n]*…/m.test(code)));
        expect(whole.length).toBeGreaterThan(15);
        const lines = ENTRIES.map((entry, i) => `export * as entry${i} from '${entry}';\n`);
        const files = [lines.join(''), ...whole.map((code) => `${code}export {};\n`)];
        await Promise.all(files.map((text, i) => folder.write(`types-${i}.ts`, text)));
        await folder.write('yours.d.ts', YOURS);
        await folder.write(
          `tsconfig.${module}.json`,
          JSON.stringify({
            compilerOptions: {
              ...{ module, moduleResolution, target: 'es2022', types: ['node'], noEmit: true },
              ...{ strict: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
            },
            files: ['yours.d.ts', ...files.map((_, i) => `types-${i}.ts`)],
          }),
        );
        await folder.run(process.execPath, [tsc, '-p', `tsconfig.${module}.json`]);
      },
    );

    test('the snippets of the pages protect an API and sign in to an app', async () => {
      const running = new Programs(folder);
      try {
        const browser = await followThePages(running);
        const orders = await browser.open('/');
        expect([orders.url, orders.status]).toEqual([`${running.web}/`, 200]);
        expect(JSON.parse(orders.html.text)).toEqual({ hello: 'auth0|ann' });

        const refused = await fetch(`${running.api}/orders`);
        expect(refused.status).toBe(401);
        expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
      } finally {
        await running.stop();
      }
    });
  },
);

/** Follows the pages, with other addresses, and signs in. */
async function followThePages(running: Programs) {
  await running.choosePorts();
  const { issuer, api, web } = running;
  const page = 'packages/authorization-server/README.md';
  const section = 'For your own API and app';
  const tenant = snippet(page, 'yaml', section);
  const secret = /client_secret: (\S+)/.exec(tenant)?.[1] ?? '';
  await folder.write('tenant.yaml', fillIn(tenant, { 'http://localhost:3000': web }));
  expect(snippet(page, 'sh', section)).toContain('TENANT=tenant.yaml npx authorization-server');
  const port = new URL(issuer).port;
  await running.start(issuer, ['node_modules/.bin/authorization-server'], {
    TENANT: 'tenant.yaml',
    PORT: port,
  });

  await folder.write(
    'api.js',
    fillIn(snippet('README.md', 'ts', 'Protect your own API'), {
      'https://tenant.example.com/': issuer,
      '3001': new URL(api).port,
    }),
  );
  await folder.write(
    'web.js',
    fillIn(snippet('README.md', 'ts', 'Sign in from your own app'), {
      'https://tenant.example.com/': issuer,
      'https://app.example.com': web,
      "api: { baseURL: 'https://api.example.com' }": `api: { baseURL: '${api}' }`,
      '3000': new URL(web).port,
    }),
  );
  await running.start(api, ['api.js'], {});
  await running.start(web, ['web.js'], {
    CLIENT_SECRET: secret,
    SECRET: randomBytes(32).toString('base64url'),
  });

  const browser = new FormBrowser();
  const [, user = '', password = ''] = /email: (\S+), password: (\S+),/.exec(tenant) ?? [];
  const signIn = await browser.open(web);
  const consent = await browser.submit(signIn, 'form', { username: user, password });
  await browser.submit(consent, 'form', { action: 'accept' });
  return { open: (path: string) => browser.open(web + path) };
}

/** Running programs of a reader, in the folder. */
class Programs {
  issuer = '';
  api = '';
  web = '';
  readonly #folder: EmptyFolder;
  readonly #children: ChildProcess[] = [];

  constructor(folder: EmptyFolder) {
    this.#folder = folder;
  }

  async choosePorts(): Promise<void> {
    const [issuer, api, web] = await freePorts(3);
    this.issuer = `http://localhost:${issuer}/`;
    this.api = `http://localhost:${api}`;
    this.web = `http://localhost:${web}`;
  }

  /** Starts a program, and waits until its address answers anything. */
  async start(url: string, parameters: string[], env: Record<string, string>): Promise<void> {
    const child = spawn(process.execPath, parameters, {
      cwd: this.#folder.path,
      env: { ...plainEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        printed += chunk;
      });
    }
    while (!(await fetch(url, { redirect: 'manual' }).catch(() => undefined))) {
      if (child.exitCode !== null) throw new Error(`${parameters.join(' ')} ended:\n${printed}`);
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    const running = this.#children.filter(({ exitCode }) => exitCode === null);
    const closed = running.map((child) => once(child, 'close'));
    for (const child of running) child.kill('SIGKILL');
    await Promise.all(closed);
  }
}
