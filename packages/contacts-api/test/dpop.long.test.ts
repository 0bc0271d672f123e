import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createProof,
  startTestIssuer,
  type TestIssuer,
  thumbprintOf,
} from '@koa-oauth/issuer/testing';
import { proves } from '../../../test/support/proves.ts';
import { REDIS_URL, whyNoRedis } from '../../../test/support/redis.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { type ApiProcess, endApiProcesses, startApiProcess } from './support/api-process.ts';
import { type Engine, engines } from './support/databases.ts';
import { startProxy } from './support/store-proxy.ts';

const COPIES = 10_000;
const CONNECTIONS = 200;
const BASE_URL = 'http://localhost:3001';
const key = testKey({ alg: 'ES256' });

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(endApiProcesses);
afterAll(() => issuer.close());

const claims = { sub: 'auth0|alice', aud: 'https://contacts.example.com/api' };
const bearer = () => ({ authorization: `Bearer ${issuer.token(claims)}` });

/** Makes the headers of `GET /me` with a bound token and a new proof. */
function bound(nonce?: string): Record<string, string> {
  const token = issuer.token({ ...claims, cnf: { jkt: thumbprintOf(key) } });
  const dpop = createProof({ key, method: 'GET', url: `${BASE_URL}/me`, token, nonce });
  return { authorization: `DPoP ${token}`, dpop };
}

interface StoreServer {
  readonly url: string;
  drop(): Promise<void>;
}

const [file, postgres] = (await engines()) as [Engine, Engine];
const stores: [name: string, missing: string | undefined, make: () => Promise<StoreServer>][] = [
  [
    'Redis',
    await whyNoRedis(),
    async () => ({ url: new URL('/15', REDIS_URL).href, drop: async () => {} }),
  ],
  ['PostgreSQL', postgres.missing, postgres.create],
];

for (const [name, missing, make] of stores) {
  (missing ? describe.skip : describe)(
    `two processes with one ${name}${missing ? `: ${missing}` : ''}`,
    () => {
      test(`${COPIES} copies of a proof come in once; a store that is away is a 503`, async () => {
        proves('RFC 9449 §11.1', 'RFC 9449 §11.2');
        const store = await make();
        const database = await file.create();
        const url = new URL(store.url);
        const proxy = await startProxy(url);
        url.host = `127.0.0.1:${proxy.port}`;
        const environment = {
          BASE_URL,
          ISSUER_BASE_URL: issuer.issuer,
          DATABASE_URL: database.url,
          STORE_URL: url.href,
          DPOP_NONCE: 'true',
          RATE_LIMIT_REFUSED: '1000000',
          LOG_LEVEL: 'silent',
        };
        const services = [
          await startApiProcess(environment),
          await startApiProcess(environment),
        ] as [ApiProcess, ApiProcess];
        const [{ api }, { api: other }] = services;

        // The nonce of one process is good at the other one.
        const refused = await api('me', { headers: bound() });
        expect([refused.statusCode, refused.headers['dpop-nonce']]).toEqual([
          401,
          expect.stringMatching(/^[\w-]{32}$/),
        ]);
        const nonce = String(refused.headers['dpop-nonce']);
        expect((await other('me', { headers: bound(nonce) })).statusCode).toBe(200);

        const counts = await sendCopies(services, bound(nonce));
        expect(counts).toEqual({ 200: 1, 401: COPIES - 1 });

        await proxy.disconnect();
        for (const service of services) {
          const { statusCode, headers, body } = await service.api('me', { headers: bound(nonce) });
          expect([statusCode, headers['retry-after'], body]).toEqual([
            503,
            '2',
            expect.objectContaining({ code: 'ERR_REVOCATION_UNAVAILABLE' }),
          ]);
          const { body: unknown } = await service.api('me', { headers: bearer() });
          expect(unknown).toMatchObject({ status: 503, code: 'ERR_REVOCATION_UNAVAILABLE' });
        }
        await proxy.restore();
        for (const service of services) await succeeds(service, nonce);

        expect(await Promise.all(services.map(({ end }) => end()))).toEqual([0, 0]);
        await proxy.disconnect();
        await Promise.all([database.drop(), store.drop()]);
      }, 300_000);
    },
  );
}

/** Sends the same request again and again, to both processes. @returns the number of answers by status */
async function sendCopies(
  services: readonly ApiProcess[],
  headers: Record<string, string>,
): Promise<Record<number, number>> {
  const agent = new Agent({ keepAlive: true });
  const counts: Record<number, number> = {};
  const sendShare = async ({ port }: ApiProcess) => {
    for (let sent = 0; sent < COPIES / CONNECTIONS; sent += 1) {
      const copy = request({ port, host: '127.0.0.1', path: '/me', headers, agent }).end();
      const [answer] = await once(copy, 'response');
      counts[answer.statusCode] = (counts[answer.statusCode] ?? 0) + 1;
      await once(answer.resume(), 'end');
    }
  };
  await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, i) =>
      sendShare(services[i % services.length] as ApiProcess),
    ),
  );
  agent.destroy();
  return counts;
}

/** Waits until a process has found its store again. */
async function succeeds({ api }: ApiProcess, nonce: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const { statusCode } = await api('me', { headers: bound(nonce) });
    if (statusCode === 200) return;
    expect(statusCode).toBe(503);
    await after(100);
  }
  throw new Error('the store is back for ten seconds, and not used');
}
