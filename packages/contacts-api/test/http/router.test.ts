import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { auth } from '@koa-oauth/resource-server';
import Koa from 'koa';
import { testKey } from '../../../../test/support/test-keys.ts';
import { ContactsClaims } from '../../src/access-token.ts';
import { problemDetails } from '../../src/app.ts';
import { operationRoutes } from '../../src/http/router.ts';
import { type Operation, operation, type Scope } from '../../src/operation.ts';
import { audience, bearer, namespace } from '../support/running-app.ts';

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterAll(() => issuer.close());

const declare = (method: Operation['method'], path: string, scope: Scope = 'read:contacts') =>
  operation({
    id: `${method} ${path}`,
    method,
    path,
    summary: 'Answer which operation ran',
    needs: { scope },
    answers: { 200: { description: 'its id' } },
    handle(ctx) {
      ctx.body = `${method} ${path}`;
    },
  });

const routesOf = (operations: readonly Operation[]) =>
  operationRoutes(operations, {
    auth: auth({
      issuerBaseURL: issuer.issuer,
      audience,
      claims: { namespace, schema: ContactsClaims },
    }),
    limitSubjects: (_, next) => next(),
    rolesClaim: `${namespace}roles`,
  });

describe('operations whose paths overlap', () => {
  const operations = [
    declare('get', '/{id}/export'),
    declare('get', '/contacts/{id}'),
    declare('get', '/contacts/{id}.vcf', 'update:contacts'),
    declare('put', '/contacts/{id}', 'update:contacts'),
    declare('get', '/contacts/export', 'read:activity'),
    declare('post', '/contacts/import', 'create:contacts'),
    declare('get', '/contacts/{id}/', 'delete:contacts'),
    declare('get', '/contacts/{id}/notes'),
    declare('get', '/contacts/export/notes', 'read:activity'),
  ];
  const id = '5a8ce5c9-7c05-4b5e-8a4d-3a4f4e6e8f10';
  const orders = [
    ['as declared', operations],
    ['in reverse order', operations.toReversed()],
  ] as const;

  describe.each(orders)('%s', (_, declared) => {
    let server: Server;
    beforeAll(async () => {
      const koa = new Koa().use(problemDetails());
      const routes = routesOf(declared);
      koa.use(routes.routes()).use(routes.allowedMethods());
      server = createServer(koa.callback()).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
    });
    afterAll(() => {
      server.closeAllConnections();
      server.close();
    });

    const call = async (method: string, path: string, scope: string) => {
      const { port } = server.address() as AddressInfo;
      const token = issuer.token({ sub: 'auth0|alice', aud: audience, scope });
      const url = `http://127.0.0.1:${port}${path}`;
      const response = await fetch(url, { method, ...bearer(token) });
      return { status: response.status, text: await response.text() };
    };

    test.each<[string, string, Scope, string]>([
      ['GET', '/contacts/export', 'read:activity', 'get /contacts/export'],
      ['GET', `/contacts/${id}`, 'read:contacts', 'get /contacts/{id}'],
      ['GET', `/contacts/${id}.vcf`, 'update:contacts', 'get /contacts/{id}.vcf'],
      ['PUT', `/contacts/${id}`, 'update:contacts', 'put /contacts/{id}'],
      ['POST', '/contacts/import', 'create:contacts', 'post /contacts/import'],
      ['GET', `/contacts/${id}/`, 'delete:contacts', 'get /contacts/{id}/'],
      ['GET', `/contacts/${id}/notes`, 'read:contacts', 'get /contacts/{id}/notes'],
      ['GET', '/contacts/export/notes', 'read:activity', 'get /contacts/export/notes'],
      ['GET', `/${id}/export`, 'read:contacts', 'get /{id}/export'],
    ])('%s %s runs the most specific one, with its scope', async (method, path, scope, ran) => {
      expect(await call(method, path, scope)).toEqual({ status: 200, text: ran });
      const { status, text } = await call(method, path, 'openid');
      expect(status).toBe(403);
      expect(text).toContain(`this needs the scope ${scope}`);
    });

    test.each([
      ['GET', '/contacts/import', 'read:contacts', 404],
      ['GET', '/contacts/Export', 'read:contacts', 404],
      ['GET', '/contacts/export/', 'delete:contacts', 404],
      ['POST', '/contacts/export', 'create:contacts', 405],
    ])('%s %s runs none', async (method, path, scope, status) => {
      expect((await call(method, path, scope)).status).toBe(status);
    });
  });
});

describe('operations that answer the same requests', () => {
  test.each([
    ['get', '/contacts/{id}', 'get', '/contacts/{id}'],
    ['get', '/contacts/{id}', 'get', '/contacts/{name}'],
    ['get', '/contacts/{id}', 'put', '/contacts/{name}'],
    ['get', '/contacts/{id}/notes', 'get', '/contacts/{contact}/notes'],
    ['delete', '/contacts/export', 'delete', '/contacts/export'],
    ['get', '/{a}/{b}', 'get', '/{b}/{a}'],
  ] as const)('%s %s and %s %s are refused', (method, path, otherMethod, otherPath) => {
    const names = [
      `(${method.toUpperCase()} ${path})`,
      `(${otherMethod.toUpperCase()} ${otherPath})`,
    ];
    const makeRoutes = () => routesOf([declare(method, path), declare(otherMethod, otherPath)]);
    for (const name of names) expect(makeRoutes).toThrow(name);
  });

  test.each([
    ['get', '/contacts/{id}', 'put', '/contacts/{id}'],
    ['get', '/contacts/{id}', 'get', '/contacts/{id}/'],
    ['get', '/contacts/{id}', 'get', '/activity/{id}'],
  ] as const)('%s %s and %s %s are not', (method, path, otherMethod, otherPath) => {
    const makeRoutes = () => routesOf([declare(method, path), declare(otherMethod, otherPath)]);
    expect(makeRoutes).not.toThrow();
  });
});
