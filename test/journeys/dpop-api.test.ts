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
import * as client from 'openid-client';
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
