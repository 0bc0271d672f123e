import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { readSettings } from '@koa-oauth/service';
import { SETTINGS as API_SETTINGS, Settings as ApiSettings } from 'contacts-api/settings';
import { SETTINGS as WEB_SETTINGS, Settings as WebSettings } from 'contacts-web/settings';
import { Build, type Image } from '../support/dockerfile.ts';
import { plainEnvironment, registryAnswers } from '../support/empty-folder.ts';
import { freePorts } from '../support/services.ts';
import { read } from '../support/snippets.ts';

const run = promisify(execFile);
const online = await registryAnswers();

(online ? describe : describe.skip)(
  `the Dockerfile, step by step in plain folders${online ? '' : ': no answer from the npm registry'}`,
  () => {
    let folder: string;
    let issuer: TestIssuer;
    const images = new Map<string, Image>();
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'koa-oauth-image-'));
      issuer = await startTestIssuer();
      const build = new Build(folder);
      for (const SERVICE of ['contacts-api', 'contacts-web'])
        images.set(SERVICE, await build.build({ SERVICE }));
    }, 600_000);
    afterAll(async () => {
      await issuer.close();
      await rm(folder, { recursive: true, force: true });
    });

    describe.each([
      ['contacts-api', '/readyz', '/contacts', 401],
      ['contacts-web', '/', '/contacts', 302],
    ])('%s', (service, ready, protectedPath, refused) => {
      const image = () => images.get(service) as Image;

      test('contains only files for production', () => {
        const { workdir } = image();
        expect(readdirSync(workdir).sort()).toEqual([
          'data',
          'main.mjs',
          'node_modules',
          'packages',
        ]);
        expect(readdirSync(join(workdir, 'data'))).toEqual([]);
        expect(readdirSync(join(workdir, 'packages', service))).not.toContain('src');
        expect(readdirSync(join(workdir, 'packages', service))).not.toContain('test');
        for (const name of ['typescript', 'jest', 'oidc-provider'])
          expect(existsSync(join(workdir, 'node_modules', name))).toBe(false);
      });

      test('serves, is healthy, and stops on SIGTERM', async () => {
        const [port] = await freePorts(1);
        const environment = { ...image().environment, HOST: '127.0.0.1', PORT: String(port) };
        const child = start(image(), { ...environment, ISSUER_BASE_URL: issuer.issuer });
        try {
          const url = `http://127.0.0.1:${port}`;
          await answers(child, url + ready);
          await check(image(), environment);
          const answer = await fetch(url + protectedPath, {
            redirect: 'manual',
            headers: {
              accept: 'text/html',
              'sec-fetch-mode': 'navigate',
              'sec-fetch-dest': 'document',
            },
          });
          expect(answer.status).toBe(refused);
        } finally {
          if (child.exitCode === null) {
            child.kill('SIGTERM');
            await once(child, 'close');
          }
        }
        expect(child.exitCode).toBe(0);
        await expect(check(image(), environment)).rejects.toMatchObject({ code: 1 });
      });
    });
  },
);

describe('compose.yaml', () => {
  const values: Record<string, string> = {
    API_HOST: 'api.example.com',
    WEB_HOST: 'app.example.com',
    ISSUER_BASE_URL: 'https://tenant.example.com/',
    AUDIENCE: 'https://contacts.example.com/api',
    CLIENT_ID: 'contacts-web',
    CLIENT_SECRET: 'of the registration',
    SECRET: 'x-secret-of-the-tests-0123456789',
    POSTGRES_PASSWORD: 'long-and-plain',
  };

  test.each([
    ['api', API_SETTINGS, ApiSettings],
    ['web', WEB_SETTINGS, WebSettings],
  ] as const)(
    'sets %s correctly: each setting exists, and its value is accepted',
    (service, settings, schema) => {
      const environment = environmentOf(service, values);
      const known = settings.map(({ name }) => name);
      expect(Object.keys(environment).length).toBeGreaterThan(5);
      expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
      expect(() =>
        readSettings<typeof schema>(schema, {
          ...environment,
          NODE_ENV: 'production',
          PORT: '8080',
        }),
      ).not.toThrow();
    },
  );

  test('docs/deploying.md names each required value', () => {
    const asked = [...read('compose.yaml').matchAll(/\$\{(\w+):\?\}/g)].map(
      ([, name = '']) => name,
    );
    expect([...new Set(asked)].sort()).toEqual(Object.keys(values).sort());
    const page = read('docs/deploying.md');
    expect(asked.filter((name) => !page.includes(`\n${name}=`))).toEqual([]);
  });
});

/** Returns the environment of a service in the file, with the values filled in. */
function environmentOf(service: string, values: Record<string, string>): Record<string, string> {
  const [, after = ''] = read('compose.yaml').split(`\n  ${service}:\n`);
  const [, rest = ''] = after.split('    environment:\n');
  const [block = ''] = rest.split(/\n {2,4}\w/);
  const lines = [...block.matchAll(/^ {6}(\w+): (.+)$/gm)].map(([, name = '', value = '']) => [
    name,
    value.replace(/^'(.*)'$/, '$1').replace(/\$\{(\w+):\?\}/g, (_, key) => values[key] ?? ''),
  ]);
  return Object.fromEntries(lines);
}

function start({ command, workdir }: Image, environment: Record<string, string>): ChildProcess {
  const [, ...parameters] = command;
  return spawn(process.execPath, parameters, {
    cwd: workdir,
    env: { ...plainEnvironment(), ...environment },
    stdio: 'ignore',
  });
}

async function check({ healthcheck, workdir }: Image, env: Record<string, string>): Promise<void> {
  const [, ...parameters] = healthcheck;
  await run(process.execPath, parameters, { cwd: workdir, env });
}

/** Waits until an address answers 200. */
async function answers(child: ChildProcess, url: string): Promise<void> {
  while (!(await fetch(url).catch(() => undefined))?.ok) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
