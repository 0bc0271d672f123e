import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { proves } from '../support/proves.ts';

const audience = 'https://api.example.com';
const namespace = 'https://contacts.example.com/';

let issuer: TestIssuer;
let child: ChildProcess;
let url: string;

beforeAll(async () => {
  issuer = await startTestIssuer();
  const example = fileURLToPath(new URL('../../examples/dist/api.js', import.meta.url));
  child = spawn(process.execPath, [example], {
    env: { PATH: process.env.PATH, ISSUER_BASE_URL: issuer.issuer, AUDIENCE: audience, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [printed] = await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'close').then(() => Promise.reject(new Error('the example did not start'))),
  ]);
  url = String(printed).trim();
});
afterAll(async () => {
  const closed = once(child, 'close');
  child.kill();
  await Promise.all([closed, issuer.close()]);
});

async function get(path: string, token?: string) {
  const response = await fetch(url + path, {
    headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
  });
  const body = await response.text();
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body };
}
const token = (claims: Record<string, unknown> = {}) =>
  issuer.token({
    sub: 'alice',
    aud: audience,
    [`${namespace}org_id`]: 'acme',
    [`${namespace}roles`]: ['reader'],
    ...claims,
  });

describe('examples/api.ts', () => {
  test('a good token gets 200, with its custom claims without their prefix', async () => {
    const { status, body } = await get('/hello', token());
    expect([status, JSON.parse(body)]).toEqual([
      200,
      { hello: 'alice', organization: 'acme', roles: ['reader'] },
    ]);
  });

  test('no token gets 401 and a challenge without an error (RFC 6750 §3.1)', async () => {
    expect(await get('/hello')).toEqual({
      status: 401,
      challenge: `Bearer realm="${audience}"`,
      body: 'this resource needs an access token',
    });
  });

  test('each hostile token gets 401', async () => {
    proves('RFC 6750 §5.1 forgery');
    const claims = { aud: audience, [`${namespace}org_id`]: 'acme' };
    for (const [name, value] of Object.entries(issuer.hostileTokens(claims))) {
      // Node itself rejects a header of this size.
      const expected = name === 'more than 16 kB' ? 431 : 401;
      expect([name, (await get('/hello', value)).status]).toEqual([name, expected]);
    }
  });

  test('a missing scope gets 403 and is named (RFC 6750 §3.1)', async () => {
    const { status, challenge } = await get('/contacts', token({ scope: 'read:other' }));
    expect(status).toBe(403);
    expect(challenge).toContain('error="insufficient_scope"');
    expect(challenge).toContain('scope="read:contacts"');
    const { body } = await get('/contacts', token({ scope: 'read:contacts' }));
    expect(JSON.parse(body)).toEqual({ of: 'acme', items: [] });
  });

  test('a missing role or a wrong custom claim gets 403 without an error', async () => {
    proves('RFC 9068 §2.2.3.1');
    const reader = await get('/activity', token());
    expect([reader.status, reader.challenge]).toEqual([403, `Bearer realm="${audience}"`]);
    expect((await get('/activity', token({ [`${namespace}roles`]: ['admin'] }))).status).toBe(200);
    for (const change of [
      { [`${namespace}org_id`]: undefined },
      { [`${namespace}roles`]: 'admin' },
    ])
      expect((await get('/hello', token(change))).status).toBe(403);
  });
});
