import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createProof,
  hostileProofs,
  startTestIssuer,
  type TestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import { proves } from '../../../test/support/proves.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { audience, bearer, type RunningApp, startApp } from './support/running-app.ts';

const baseURL = 'https://example.com/crm';
const url = `${baseURL}/contacts`;
const key = testKey({ alg: 'ES256' });

let issuer: TestIssuer;
const open: RunningApp[] = [];

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));
afterAll(() => issuer.close());

async function start(options: Parameters<typeof startApp>[0] = {}): Promise<RunningApp> {
  const running = await startApp({ baseURL, issuerBaseURL: issuer.issuer, ...options });
  open.push(running);
  return running;
}

const mint = (claims: object = {}) =>
  issuer.token({ sub: 'auth0|alice', aud: audience, scope: 'read:contacts', ...claims });

function bound(nonce?: string): { headers: Record<string, string> } {
  const token = mint({ cnf: { jkt: thumbprintOf(key) } });
  const dpop = createProof({ key, method: 'GET', url, token, nonce });
  return { headers: { authorization: `DPoP ${token}`, dpop } };
}

describe('tokens that are bound to a key', () => {
  test('come in with a proof for the public address, once; bearer tokens come in too', async () => {
    const { api } = await start();
    const request = bound();
    expect((await api('contacts?limit=1', request)).statusCode).toBe(200);
    const { statusCode, headers, body } = await api('contacts', request);
    expect([statusCode, headers['content-type']]).toEqual([401, 'application/problem+json']);
    expect(body).toMatchObject({ code: 'ERR_INVALID_DPOP_PROOF' });
    expect(headers['www-authenticate']).toMatch(
      /^DPoP realm="contacts", error="invalid_dpop_proof", .+, algs=".*ES256.*", .+, Bearer realm="contacts"/,
    );
    expect((await api('contacts', bearer(mint()))).statusCode).toBe(200);
  });

  test('are required with DPOP=required, and the metadata says so (RFC 9728 §2)', async () => {
    const { api } = await start({ dpop: { required: true } });
    expect((await api('contacts', bound())).statusCode).toBe(200);
    const { statusCode, headers } = await api('contacts', bearer(mint()));
    expect(statusCode).toBe(401);
    expect(headers['www-authenticate']).toMatch(/^DPoP /);
    expect((await api('.well-known/oauth-protected-resource')).body).toMatchObject({
      dpop_bound_access_tokens_required: true,
    });
  });

  test('need a nonce with DPOP_NONCE=true, which pages of other origins can read', async () => {
    const origin = 'https://app.example.com';
    const { api } = await start({ dpop: { nonce: true }, corsOrigins: [origin] });
    const { headers } = bound();
    const {
      statusCode,
      headers: answer,
      body,
    } = await api('contacts', { headers: { ...headers, origin } });
    expect([statusCode, body]).toEqual([
      401,
      expect.objectContaining({ code: 'ERR_USE_DPOP_NONCE' }),
    ]);
    expect(answer['access-control-expose-headers']).toContain('DPoP-Nonce');
    expect((await api('contacts', bound(String(answer['dpop-nonce'])))).statusCode).toBe(200);
  });

  test('count as refused tokens with a wrong proof', async () => {
    const { api } = await start({ refusedPerAddress: 1 });
    const request = bound();
    await api('contacts', request);
    expect((await api('contacts', request)).statusCode).toBe(401);
    expect((await api('contacts', request)).statusCode).toBe(429);
    expect((await api('contacts', bound())).statusCode).toBe(200);
  });
});

test('all hostile proofs get 401 here too, where koa-jwt verifies signatures', async () => {
  proves('RFC 9449 §4.3');
  const { api, logged } = await start();
  const answers: [string, number][] = [];
  const proofs = hostileProofs({ key, method: 'GET', url, token: mint });
  for (const [name, headers] of Object.entries(proofs)) {
    answers.push([name, (await api('contacts', { headers: { ...headers } })).statusCode]);
  }
  expect(answers.length).toBeGreaterThan(60);
  expect(answers.filter(([, status]) => status !== 401)).toEqual([]);
  expect(logged()).not.toMatch(/eyJ/);
});
