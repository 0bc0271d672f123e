import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import {
  demoTenantFile,
  loadTenant,
  startAuthorizationServer,
} from '@koa-oauth/authorization-server';
import { auth, requiredScopes } from '@koa-oauth/resource-server';
import Koa from 'koa';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { startApp } from '../../packages/contacts-api/test/support/running-app.ts';
import { proves } from '../support/proves.ts';

const AUDIENCE = 'https://contacts.example.com/api';

test('a token that the issuer bound to a key opens the API with this key, and no other way', async () => {
  proves('RFC 9449 §7.2');
  const server = await startAuthorizationServer({ tenant: loadTenant(demoTenantFile) });
  const api = createServer().listen(0, '127.0.0.1');
  await once(api, 'listening');
  const baseURL = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  const app = new Koa();
  app.silent = true;
  const dpop = { baseURL, required: true, nonce: true };
  app.use(auth({ issuerBaseURL: server.issuer, audience: AUDIENCE, dpop }));
  app.use(requiredScopes('read:contacts'));
  app.use((ctx) => {
    ctx.body = { client: ctx.state.auth?.payload.client_id ?? ctx.state.auth?.payload.azp };
  });
  api.on('request', app.callback());
  try {
    const config = await client.discovery(
      new URL(server.issuer),
      'contacts-cli',
      undefined,
      client.ClientSecretPost('contacts-cli-demo-secret'),
      { execute: [client.allowInsecureRequests] },
    );
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const tokens = await client.clientCredentialsGrant(config, { audience: AUDIENCE }, { DPoP });
    expect(tokens.token_type).toBe('dpop');
    const url = new URL('/contacts?limit=1', baseURL);
    const fetchWith = (handle: client.DPoPHandle) =>
      client.fetchProtectedResource(config, tokens.access_token, url, 'GET', undefined, undefined, {
        DPoP: handle,
      });
    const answer = await fetchWith(DPoP);
    expect([answer.status, await answer.json()]).toEqual([200, { client: 'contacts-cli' }]);

    const stranger = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const thief = fetchWith(stranger);
    await expect(thief).rejects.toMatchObject({ status: 401 });
    const headers = { authorization: `Bearer ${tokens.access_token}` };
    const { status, headers: answered } = await fetch(url, { headers });
    expect(status).toBe(401);
    expect(answered.get('www-authenticate')).toMatch(/^DPoP .*error="invalid_token"/);
  } finally {
    api.closeAllConnections();
    await once(api.close(), 'close');
    await server.close();
  }
});

test('oauth4webapi, which knows the API alone, finds its issuer and calls it with DPoP', async () => {
  const server = await startAuthorizationServer({ tenant: loadTenant(demoTenantFile) });
  server.faults.add({ endpoint: '/oauth/token', demandNonce: true });
  const baseURL = new URL(AUDIENCE).origin;
  const dpop = { required: true, nonce: true };
  const running = await startApp({ issuerBaseURL: server.issuer, baseURL, dpop });
  const options = {
    [oauth.allowInsecureRequests]: true,
    // The name of the API leads to its port, as DNS and a proxy would do.
    [oauth.customFetch]: (address: string, init: object) =>
      fetch(address.replace(baseURL, `http://127.0.0.1:${running.port}`), init),
  };
  try {
    const resource = new URL(AUDIENCE);
    const { authorization_servers: [identifier = ''] = [] } =
      await oauth.processResourceDiscoveryResponse(
        resource,
        await oauth.resourceDiscoveryRequest(resource, options),
      );
    const issuer = new URL(identifier);
    const found = await oauth.discoveryRequest(issuer, options);
    const as = await oauth.processDiscoveryResponse(issuer, found);
    const cli: oauth.Client = { client_id: 'contacts-cli' };
    const DPoP = oauth.DPoP(cli, await oauth.generateKeyPair('ES256'));
    const withNonce = async <Result>(send: () => Promise<Result>): Promise<Result> => {
      const demand: unknown = await send().catch((error: unknown) => error);
      expect(oauth.isDPoPNonceError(demand)).toBe(true);
      return send();
    };
    const { access_token: token } = await withNonce(async () => {
      const secret = oauth.ClientSecretPost('contacts-cli-demo-secret');
      const parameters = new URLSearchParams({ audience: AUDIENCE });
      const proof = { ...options, DPoP };
      return oauth.processClientCredentialsResponse(
        as,
        cli,
        await oauth.clientCredentialsGrantRequest(as, cli, secret, parameters, proof),
      );
    });
    const call = (method: string, path: string) => {
      const url = new URL(path, baseURL);
      return oauth.protectedResourceRequest(token, method, url, undefined, undefined, {
        ...options,
        DPoP,
      });
    };
    const answer = await withNonce(() => call('GET', '/contacts?limit=1'));
    expect([answer.status, await answer.json()]).toEqual([200, { items: [], next: null }]);
    await expect(call('POST', '/contacts')).rejects.toMatchObject({
      status: 403,
      cause: [
        {
          scheme: 'dpop',
          parameters: { error: 'insufficient_scope', scope: 'create:contacts' },
        },
      ],
    });
  } finally {
    await running.close();
    await server.close();
  }
});
