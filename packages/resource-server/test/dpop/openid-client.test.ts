import { expect, test } from '@jest/globals';
import { jwkThumbprint } from '@koa-oauth/issuer';
import { startTestIssuer } from '@koa-oauth/issuer/testing';
import * as client from 'openid-client';
import { testKey } from '../../../../test/support/test-keys.ts';
import { listen, startApi } from '../support/protected-api.ts';

// The address must be known before the API starts.
async function freeAddress(): Promise<string> {
  const { url, close } = await listen(() => {});
  await close();
  return url;
}

test.each([false, true])(
  'openid-client calls the API with DPoP, with nonces: %p',
  async (nonce) => {
    const issuer = await startTestIssuer({ keys: [testKey()] });
    const audience = 'https://api.example.com';
    const keys = await client.randomDPoPKeyPair('ES256', { extractable: true });
    const jwk = await crypto.subtle.exportKey('jwk', keys.publicKey);
    const token = issuer.token({
      sub: 'alice',
      aud: audience,
      cnf: { jkt: jwkThumbprint({ ...jwk }) },
    });
    const config = new client.Configuration({ issuer: issuer.issuer }, 'web');
    client.allowInsecureRequests(config);
    const DPoP = client.getDPoPHandle(config, keys);
    const baseURL = await freeAddress();
    const api = await startApi({
      issuerBaseURL: issuer.issuer,
      audience,
      dpop: { baseURL, nonce },
    });
    // Its proofs name the address that it calls, so it calls the public one.
    config[client.customFetch] = (url, options) =>
      fetch(url.replace(baseURL, api.url), options as RequestInit);
    for (const path of ['a', 'b?c=d']) {
      const url = new URL(path, baseURL);
      const { status } = await client.fetchProtectedResource(
        config,
        token,
        url,
        'GET',
        undefined,
        undefined,
        { DPoP },
      );
      expect(status).toBe(200);
    }
    // The first request of all learned the nonce, and was sent again.
    expect(api.errors).toHaveLength(nonce ? 1 : 0);
    await Promise.all([api.close(), issuer.close()]);
  },
);
