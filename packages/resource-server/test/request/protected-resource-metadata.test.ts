import { afterEach, expect, test } from '@jest/globals';
import Router from '@koa/router';
import { createIssuer, FAPI_ALGORITHMS, SIGNING_ALGORITHMS } from '@koa-oauth/issuer';
import { createTestKey, startTestIssuer } from '@koa-oauth/issuer/testing';
import Koa from 'koa';
import {
  PROTECTED_RESOURCE_METADATA_PATH,
  type ProtectedResource,
  protectedResourceMetadata,
  protectedResourceMetadataURL,
} from '../../src/request/protected-resource-metadata.ts';
import { serve } from '../support/protected-api.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));

async function start(more: Partial<ProtectedResource>) {
  const router = new Router();
  const resource = {
    resource: 'https://api.example.com/',
    authorizationServers: ['https://tenant.example.com/'],
    ...more,
  };
  const metadata = protectedResourceMetadata(resource);
  router.get(PROTECTED_RESOURCE_METADATA_PATH, metadata);
  router.options(PROTECTED_RESOURCE_METADATA_PATH, metadata);
  const app = new Koa();
  app.use(router.routes());
  const api = await serve(app);
  open.push(api);
  return (init?: RequestInit) => api.send({}, '.well-known/oauth-protected-resource', init);
}

test.each([
  [
    { scopesSupported: ['read:contacts'], resourceName: 'Contacts' },
    { scopes_supported: ['read:contacts'], resource_name: 'Contacts' },
  ],
  [
    { resourceDocumentation: 'https://api.example.com/docs' },
    { resource_documentation: 'https://api.example.com/docs' },
  ],
  [
    { dpop: {} },
    {
      dpop_signing_alg_values_supported: [...SIGNING_ALGORITHMS],
      dpop_bound_access_tokens_required: false,
    },
  ],
  [
    { dpop: {}, profile: 'fapi2' },
    {
      dpop_signing_alg_values_supported: [...FAPI_ALGORITHMS],
      dpop_bound_access_tokens_required: true,
    },
  ],
  [
    { dpop: { required: true, algorithms: ['ES256'] } },
    { dpop_signing_alg_values_supported: ['ES256'], dpop_bound_access_tokens_required: true },
  ],
  [{}, {}],
] satisfies [Partial<ProtectedResource>, object][])(
  'RFC 9728 §2, §3.2: the document of %p',
  async (more, members) => {
    const get = await start(more);
    const { status, headers, body } = await get();
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toBe('public, max-age=3600');
    expect(headers.get('access-control-allow-origin')).toBe('*');
    expect(JSON.parse(body)).toEqual({
      resource: 'https://api.example.com/',
      authorization_servers: ['https://tenant.example.com/'],
      bearer_methods_supported: ['header'],
      ...members,
    });
  },
);

test('a page of any origin may send any header with its request', async () => {
  const send = await start({});
  const { status, headers } = await send({ method: 'OPTIONS' });
  expect(status).toBe(204);
  expect(headers.get('access-control-allow-origin')).toBe('*');
  expect(headers.get('access-control-allow-headers')).toBe('*');
});

test.each([
  ['https://api.example.com', 'https://api.example.com/.well-known/oauth-protected-resource'],
  ['https://api.example.com/', 'https://api.example.com/.well-known/oauth-protected-resource'],
  [
    'https://api.example.com:8443/a/b/',
    'https://api.example.com:8443/.well-known/oauth-protected-resource/a/b/',
  ],
  [
    'https://api.example.com/a?b=c',
    'https://api.example.com/.well-known/oauth-protected-resource/a?b=c',
  ],
  [
    'https://api.example.com/?b=c',
    'https://api.example.com/.well-known/oauth-protected-resource?b=c',
  ],
])('RFC 9728 §3.1: the metadata of %s is at %s', (resource, url) => {
  expect(protectedResourceMetadataURL(resource)).toBe(url);
});

test.each(['contacts', 'api://default', 'urn:example:contacts'])(
  'no address can be made of the identifier %s',
  (resource) => {
    expect(() => protectedResourceMetadataURL(resource)).toThrow('URL');
  },
);

test('an issuer is named as it names itself, slash included (RFC 9728 §2, RFC 8414 §2)', async () => {
  const server = await startTestIssuer({ keys: [createTestKey({ alg: 'ES256' })] });
  open.push(server);
  const issuerBaseURL = server.issuer.slice(0, -1);
  let clock = 1_000_000_000_000;
  const issuer = createIssuer({ issuerBaseURL, monotonicNow: () => clock });
  const get = await start({ authorizationServers: [issuer] });
  server.goDown();
  const unsure = await get();
  expect(JSON.parse(unsure.body)).toMatchObject({ authorization_servers: [issuerBaseURL] });
  expect(unsure.headers.get('cache-control')).toBe('no-store');
  server.comeBack();
  clock += 2000;
  const sure = await get();
  expect(JSON.parse(sure.body)).toMatchObject({ authorization_servers: [server.issuer] });
  expect(sure.headers.get('cache-control')).toBe('public, max-age=3600');
});
