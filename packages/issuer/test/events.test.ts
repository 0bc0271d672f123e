import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { testKey } from '../../../test/support/test-keys.ts';
import { ISSUER_CHANNEL, type IssuerEvent } from '../src/events.ts';
import { createIssuer, type Issuer, type IssuerOptions } from '../src/issuer.ts';
import { createTestKey, startTestIssuer, type TestIssuer } from '../src/testing.ts';

const one = testKey({ kid: 'one' });
const header = { alg: 'RS256', kid: 'one' };
const MINUTE = 60_000;

let server: TestIssuer;
let clock: number;
let told: IssuerEvent[];
let published: unknown[];
const listen = (event: unknown) => published.push(event);

beforeEach(async () => {
  server = await startTestIssuer({ keys: [one] });
  clock = 1_000_000_000_000;
  told = [];
  published = [];
  subscribe(ISSUER_CHANNEL, listen);
});
afterEach(async () => {
  unsubscribe(ISSUER_CHANNEL, listen);
  await server.close();
});

const create = (options: Partial<IssuerOptions> = {}): Issuer =>
  createIssuer({
    issuerBaseURL: server.issuer,
    monotonicNow: () => clock,
    onEvent: (event) => told.push(event),
    ...options,
  });
const types = () => told.map(({ type }) => type);
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

describe('each event, by the option and by the channel', () => {
  afterEach(() => expect(published).toEqual(told));

  test('keys_refreshed: how many keys there are', async () => {
    const issuer = create();
    await issuer.signingKey(header);
    server.rotate({ key: createTestKey({ kid: 'two', alg: 'ES256' }) });
    await issuer.signingKey({ alg: 'ES256', kid: 'two' });
    expect(told).toEqual([
      { type: 'keys_refreshed', keys: 1, issuer: server.issuer },
      { type: 'keys_refreshed', keys: 2, issuer: server.issuer },
    ]);
  });

  test('keys_left_out says which keys, and why (RFC 7518 §3.3)', async () => {
    await server.close();
    server = await startTestIssuer({
      keys: [one],
      otherKeys: [{ kty: 'oct', kid: 'secret', k: 'c2VjcmV0' }, 5],
    });
    await create().signingKey(header);
    expect(told[0]).toEqual({
      type: 'keys_left_out',
      leftOut: [
        { kid: 'secret', reason: 'private or symmetric key' },
        { kid: undefined, reason: 'not an object' },
      ],
      issuer: server.issuer,
    });
    expect(types()).toEqual(['keys_left_out', 'keys_refreshed']);
    expect(JSON.stringify(told)).not.toContain('c2VjcmV0');
  });

  test('refresh_failed: what, and what was answered', async () => {
    server.fault = (_, response) => response.writeHead(500).end();
    const issuer = create();
    await issuer.signingKey(header).catch(() => {});
    expect(told).toEqual(
      ['metadata', 'keys'].map((what) => ({
        type: 'refresh_failed',
        what,
        detail: expect.stringContaining('openid-configuration: 500'),
        issuer: server.issuer,
      })),
    );
  });

  test('stale_used: once per failed try, with the age of what is used', async () => {
    const issuer = create();
    const key = await issuer.signingKey(header);
    server.goDown();
    clock += 10 * MINUTE;
    await issuer.signingKey(header);
    for (let i = 0; i < 100; i += 1) expect(issuer.hasKey(key)).toBe(true);
    await settle();
    const stale = told.filter(({ type }) => type === 'stale_used');
    expect(stale).toContainEqual({
      type: 'stale_used',
      what: 'keys',
      ageMs: 10 * MINUTE,
      issuer: server.issuer,
    });
    const failed = told.filter(({ type }) => type === 'refresh_failed');
    expect(stale.length).toBeLessThanOrEqual(failed.length);
    server.comeBack();
    clock += MINUTE;
    issuer.hasKey(key);
    while (types().at(-1) !== 'keys_refreshed') await settle();
  });
});

describe('a listener in trouble takes no key away', () => {
  test.each<[string, IssuerOptions['onEvent']]>([
    [
      'one that throws',
      () => {
        throw new Error('the log is full');
      },
    ],
    ['one whose promise is rejected', (async () => Promise.reject(new Error('no'))) as never],
  ])('%s', async (_, onEvent) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    await server.close();
    server = await startTestIssuer({ keys: [one], otherKeys: [null] });
    const issuer = create({ onEvent });
    const key = await issuer.signingKey(header);
    server.goDown();
    clock += 11 * MINUTE;
    expect(await issuer.signingKey(header)).toBe(key);
    await settle();
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});
