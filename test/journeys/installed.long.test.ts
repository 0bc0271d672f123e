import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EmptyFolder, otherNode, type Packed, registryAnswers } from '../support/empty-folder.ts';

const online = await registryAnswers();
const node24 = online ? await otherNode(24) : undefined;

/** Test of a user: one API, with the issuer for tests. */
const TEST = `
import Koa from 'koa';
import { auth } from '@koa-oauth/resource-server';
import { startTestIssuer } from '@koa-oauth/issuer/testing';

test('accepts a good token and rejects a hostile one', async () => {
  const issuer = await startTestIssuer();
  const app = new Koa();
  app.silent = true;
  app.use(auth({ issuerBaseURL: issuer.issuer, audience: 'x' }));
  app.use((ctx) => { ctx.body = 'in'; });
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const ask = async (token) => {
    const url = 'http://127.0.0.1:' + server.address().port;
    return (await fetch(url, { headers: { authorization: 'Bearer ' + token } })).status;
  };
  expect(await ask(issuer.token({ sub: 'a', aud: 'x' }))).toBe(200);
  expect(await ask(issuer.token({ sub: 'a', aud: 'y' }))).toBe(401);
  server.close();
  await issuer.close();
});
`;

const TYPES = `
import { auth, requiredScopes } from '@koa-oauth/resource-server';
import { auth as signIn, requiresAuth } from '@koa-oauth/client';
import Router from '@koa/router';
import Koa, { type Middleware } from 'koa';

const protect = auth({ issuerBaseURL: 'https://tenant.example.com/', audience: 'x' });
const one: Koa.Middleware = protect;
const list: Middleware[] = [protect, requiredScopes('a'), requiresAuth()];
list.push(
  signIn({
    issuerBaseURL: 'https://tenant.example.com/',
    baseURL: 'https://app.example.com',
    clientID: 'id',
    clientSecret: 'secret',
    secret: 'x-secret-of-the-tests-0123456789',
  }),
);
const guard = (middleware: Middleware): Middleware => middleware;
const router = new Router();
router.use(protect);
router.get('/', requiredScopes('a'), (ctx) => {
  ctx.body = ctx.state.auth?.payload.sub;
});
new Koa().use(one).use(guard(protect)).use(router.routes());
for (const each of list) new Koa().use(each);
`;

(online ? describe : describe.skip)(
  `the packed libraries${online ? '' : ': no answer from the npm registry'}`,
  () => {
    let folder: EmptyFolder;
    let packages: Packed[];
    beforeAll(async () => {
      folder = await EmptyFolder.make();
      packages = await folder.packLibraries();
      const own = ['issuer', 'resource-server', 'client'];
      await folder.install([
        ...packages.filter(({ library }) => own.includes(library)).map(({ tarball }) => tarball),
        ...['koa', '@koa/router', '@types/koa', '@types/node'],
      ]);
    });
    afterAll(() => folder.remove());

    test('install no native module and no driver of a store', async () => {
      const modules = join(folder.path, 'node_modules');
      const files = await readdir(modules, { recursive: true });
      expect(files.length).toBeGreaterThan(500);
      expect(files.filter((file) => file.endsWith('.node'))).toEqual([]);
      const drivers = ['ioredis', 'pg', 'libsql', '@libsql'];
      expect((await readdir(modules)).filter((name) => drivers.includes(name))).toEqual([]);
    });

    describe('with the tools of the user', () => {
      const jest = [
        '--experimental-vm-modules',
        'node_modules/jest/bin/jest.js',
        '--testTimeout=60000',
      ];
      const only = ['--testMatch', '**/own-jest.test.mjs'];
      beforeAll(async () => {
        await folder.install(['typescript@5.9', 'jest@30', 'vitest@3']);
        await folder.write('types.ts', TYPES);
        await folder.write('own-jest.test.mjs', TEST);
        await folder.write('own-vitest.test.mjs', `import { expect, test } from 'vitest';${TEST}`);
      });

      test('have the type of a Koa middleware, in strict TypeScript', async () => {
        const parameters = ['--strict', '--target', 'es2022', '--module', 'nodenext'];
        await folder.run('node_modules/.bin/tsc', ['--noEmit', ...parameters, 'types.ts']);
      });

      test('run by jest on this Node', async () => {
        await folder.run(process.execPath, [...jest, ...only]);
      });

      (node24 ? test : test.skip)(
        `run by jest on Node 24${node24 ? '' : ': not available'}`,
        async () => {
          await folder.run('npx', [...(node24 ?? []), ...jest, ...only]);
        },
      );

      test('run by vitest', async () => {
        await folder.run('node_modules/.bin/vitest', ['run', '--testTimeout=60000', 'own-vitest']);
      });
    });
  },
);
