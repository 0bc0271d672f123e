import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { demoTenantFile, loadTenant } from '../../src/index.ts';
import { openStateStore } from '../../src/state/file.ts';
import type { StateStore } from '../../src/state/memory.ts';
import {
  MAX_ACTIVE_FAMILIES,
  RefreshTokenAdapter,
  RefreshTokenFamilies,
} from '../../src/token/refresh-token.ts';
import { startDemo, stopServers } from '../support/demo-server.ts';
import { requestTokens, tokensFor } from '../support/sign-in.ts';

let now = 1000;
let store: StateStore;
beforeEach(() => {
  now = 1000;
  store = openStateStore('memory:', () => now);
});
afterEach(async () => {
  store.close();
  await stopServers();
});

const LIFETIME = 10_000;
const tenant = loadTenant(demoTenantFile);

/** A login and its tokens. */
function login(grantId: string, change = {}) {
  const adapter = new RefreshTokenAdapter(tenant, store);
  const ids: string[] = [];
  const issue = async (rotations: number): Promise<string> => {
    const id = `${grantId}-${rotations}-${randomUUID()}`;
    const exp = now + LIFETIME;
    const token = {
      kind: 'RefreshToken',
      jti: id,
      exp,
      grantId,
      clientId: 'contacts-web',
      accountId: 'auth0|alice',
      scope: 'openid offline_access',
      nonce: 'x'.repeat(500),
      rotations,
      ...change,
    };
    await adapter.upsert(id, token, LIFETIME);
    ids.push(id);
    return id;
  };
  const rotate = async (times: number): Promise<void> => {
    if (ids.length === 0) await issue(0);
    for (let i = 0; i < times; i += 1) {
      await adapter.consume(ids.at(-1) ?? '');
      await issue(ids.length);
    }
  };
  return { adapter, ids, issue, rotate };
}

const sizeOf = (id: string): number =>
  JSON.stringify(store.read('RefreshToken', id)?.content ?? '').length;

describe('a token that was rotated out', () => {
  test('is shortened, except the last two, and counts as used', async () => {
    const { adapter, ids, rotate } = login('grant');
    await rotate(5);
    expect(ids.map((id) => sizeOf(id) > 500)).toEqual([false, false, false, false, true, true]);
    for (const id of ids.slice(0, 4)) {
      expect(sizeOf(id)).toBeLessThan(100);
      expect(await adapter.find(id)).toMatchObject({
        kind: 'RefreshToken',
        jti: id,
        grantId: 'grant',
        clientId: 'contacts-web',
        accountId: 'auth0|alice',
        scope: 'openid offline_access',
        consumed: expect.any(Number),
      });
    }
    expect((await adapter.find(ids[5]!))?.consumed).toBeUndefined();
  });

  test('keeps the key that it is bound to (RFC 9449 section 5)', async () => {
    const { adapter, ids, rotate } = login('grant', { jkt: 'thumbprint' });
    await rotate(2);
    expect(await adapter.find(ids[0]!)).toMatchObject({ jkt: 'thumbprint' });
  });

  test('is stored until its own end only', async () => {
    const { adapter, ids, rotate } = login('grant');
    await rotate(3);
    now += LIFETIME;
    expect(store.read('RefreshToken', ids[0]!)).toBeUndefined();
    expect(await adapter.find(ids[0]!)).toBeUndefined();
  });

  test('is removed with its family', async () => {
    const { adapter, ids, rotate } = login('grant');
    await rotate(3);
    await adapter.revokeByGrantId('grant');
    for (const id of ids) expect(await adapter.find(id)).toBeUndefined();
    expect(store.read('RefreshTokenFamily', 'grant')).toBeUndefined();
  });

  test('is shortened when its branch fell behind unused, and counts as used', async () => {
    const { adapter, issue, rotate, ids } = login('grant');
    await rotate(1);
    const branch = await issue(1);
    await adapter.upsert(`${ids[1]}-next`, { ...(await adapter.find(ids[1]!)), rotations: 2 }, 100);
    await adapter.upsert(`${ids[1]}-last`, { ...(await adapter.find(ids[1]!)), rotations: 3 }, 100);
    expect(sizeOf(branch)).toBeLessThan(100);
    expect((await adapter.find(branch))?.consumed).toEqual(expect.any(Number));
  });
});

test('a request that began within the leeway succeeds, although others rotated twice meanwhile', async () => {
  const { leeway } = tenant.clients[0]!.refresh_token;
  tenant.clients[0]!.refresh_token.leeway = 60;
  try {
    const { adapter, ids, rotate } = login('grant');
    await rotate(1);
    expect((await adapter.find(ids[0]!))?.consumed).toBeUndefined();
    await rotate(2);
    expect(sizeOf(ids[0]!)).toBeLessThan(100);
    await adapter.consume(ids[0]!);
    expect((await adapter.find(ids.at(-1)!))?.consumed).toBeUndefined();
    // One that comes now is too late.
    expect((await adapter.find(ids[0]!))?.consumed).toEqual(expect.any(Number));
  } finally {
    tenant.clients[0]!.refresh_token.leeway = leeway;
  }
});

test('over HTTP, the first of many tokens still ends the family, for its own client only', async () => {
  const server = await startDemo((loaded) => {
    loaded.clients.push({
      ...loaded.clients[0]!,
      client_id: 'contacts-other',
      client_secret: 'contacts-other-secret',
    });
  });
  const { tokens } = await tokensFor(server);
  const use = (refresh_token = '', more = {}) =>
    requestTokens(server, { grant_type: 'refresh_token', refresh_token, ...more });
  let token = tokens.refresh_token;
  for (let i = 0; i < 5; i += 1) token = (await use(token)).body.refresh_token;
  const other = { client_id: 'contacts-other', client_secret: 'contacts-other-secret' };
  expect((await use(tokens.refresh_token, other)).status).toBe(403);
  token = (await use(token)).body.refresh_token;
  expect(token).toBeTruthy();
  expect((await use(tokens.refresh_token)).status).toBe(403);
  expect((await use(token)).status).toBe(403);
});

describe(`more than ${MAX_ACTIVE_FAMILIES} logins of a user with one application`, () => {
  const families = () => new RefreshTokenFamilies(store);
  const token = (grantId: string, change = {}) => ({
    grantId,
    clientId: 'contacts-web',
    accountId: 'auth0|alice',
    rotations: 0,
    ...change,
  });
  const fill = (count: number): string[] =>
    Array.from({ length: count }, (_, i) =>
      families().add(`t${i}`, token(`g${i}`), LIFETIME),
    ).flatMap(({ ended }) => ended);

  test('end the oldest', () => {
    expect(fill(MAX_ACTIVE_FAMILIES)).toEqual([]);
    expect(families().add('x', token('gx'), LIFETIME).ended).toEqual(['g0']);
    expect(families().add('y', token('gy'), LIFETIME).ended).toEqual(['g1']);
  });

  test('do not count for another user or another application', () => {
    fill(MAX_ACTIVE_FAMILIES);
    for (const change of [{ accountId: 'auth0|bob' }, { clientId: 'contacts-cli' }]) {
      expect(families().add('x', token('gx', change), LIFETIME).ended).toEqual([]);
    }
  });

  test('do not include rotations and ended logins', () => {
    fill(MAX_ACTIVE_FAMILIES);
    expect(families().add('r', token('g0', { rotations: 1 }), LIFETIME).ended).toEqual([]);
    families().delete('g5');
    expect(families().add('x', token('gx'), LIFETIME).ended).toEqual([]);
    now += LIFETIME;
    expect(families().add('y', token('gy'), LIFETIME).ended).toEqual([]);
  });

  test('remove the tokens of the oldest login only', async () => {
    const first = login('first');
    await first.rotate(2);
    const second = login('second');
    await second.issue(0);
    for (let i = 0; i < MAX_ACTIVE_FAMILIES - 1; i += 1) await login(`more-${i}`).issue(0);
    for (const id of first.ids) expect(await first.adapter.find(id)).toBeUndefined();
    expect(await second.adapter.find(second.ids[0]!)).toBeDefined();
  });
});

test('many branches within one leeway stay valid', async () => {
  const { adapter, issue, ids } = login('grant');
  await issue(0);
  for (let i = 0; i < 150; i += 1) await issue(1);
  for (const id of ids) expect((await adapter.find(id))?.consumed).toBeUndefined();
});
