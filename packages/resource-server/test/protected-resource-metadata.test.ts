import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import Router from '@koa/router';
import Koa from 'koa';
import {
  PROTECTED_RESOURCE_METADATA_PATH,
  protectedResourceMetadata,
} from '../src/protected-resource-metadata.ts';

test.each([
  [
    { scopesSupported: ['read:contacts'], resourceName: 'Contacts' },
    { scopes_supported: ['read:contacts'], resource_name: 'Contacts' },
  ],
  [{}, {}],
])('RFC 9728 §2, §3.2: the document of %p', async (more, members) => {
  const router = new Router();
  router.get(
    PROTECTED_RESOURCE_METADATA_PATH,
    protectedResourceMetadata({
      resource: 'https://api.example.com/',
      authorizationServers: ['https://tenant.example.com/'],
      ...more,
    }),
  );
  const server = new Koa().use(router.routes()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/.well-known/oauth-protected-resource`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(await response.json()).toEqual({
    resource: 'https://api.example.com/',
    authorization_servers: ['https://tenant.example.com/'],
    bearer_methods_supported: ['header'],
    ...members,
  });
  server.closeAllConnections();
  server.close();
});
