import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { testKey } from '../../../test/support/test-keys.ts';
import {
  type ApiProcess,
  administrator,
  endApiProcesses,
  startApiProcess,
} from './support/api-process.ts';
import { type Engine, engines, type TestDatabase } from './support/databases.ts';
import { type StoreProxy, startProxy } from './support/store-proxy.ts';

const { missing, create } = (await engines())[1] as Engine;

(missing ? describe.skip : describe)(
  `while the database is unreachable${missing ? `: ${missing}` : ''}`,
  () => {
    let issuer: TestIssuer;
    let database: TestDatabase;
    let proxy: StoreProxy;
    let environment: Record<string, string>;
    let service: ApiProcess;
    let headers: Record<string, string>;

    beforeAll(async () => {
      issuer = await startTestIssuer({ keys: [testKey()] });
      headers = administrator(issuer);
      database = await create();
      const url = new URL(database.url);
      proxy = await startProxy(url);
      url.host = `127.0.0.1:${proxy.port}`;
      environment = {
        DATABASE_URL: url.href,
        ISSUER_BASE_URL: issuer.issuer,
        LOG_LEVEL: 'silent',
      };
      service = await startApiProcess(environment);
    });
    afterAll(async () => {
      endApiProcesses();
      await proxy.disconnect();
      await issuer.close();
      await database.drop();
    });

    const json = { name: 'Ada', email: 'ada@example.com' };
    const list = () => service.api('contacts', { headers });
    const add = () => service.api.post('contacts', { headers, json });
    const status = async (path: string) => (await service.api(path)).statusCode;

    const expectUnavailable = ({ statusCode, headers, body }: Awaited<ReturnType<typeof list>>) => {
      expect([statusCode, body]).toEqual([
        503,
        expect.objectContaining({ code: 'ERR_STORE_UNAVAILABLE' }),
      ]);
      expect(headers).toMatchObject({
        'retry-after': '2',
        'content-type': 'application/problem+json',
      });
    };

    test('requests are answered 503, and normally once the database is back', async () => {
      expect((await add()).statusCode).toBe(201);
      await proxy.disconnect();
      for (const answer of await Promise.all([list(), add(), list()])) expectUnavailable(answer);
      await proxy.restore();
      expect([(await list()).statusCode, (await add()).statusCode]).toEqual([200, 201]);
    });

    test('the API is alive and not ready', async () => {
      expect([await status('healthz'), await status('readyz')]).toEqual([200, 200]);
      await proxy.disconnect();
      // The outcome of a check is remembered for a second.
      await setTimeout(1100);
      expect([await status('healthz'), await status('readyz')]).toEqual([200, 503]);
      await proxy.restore();
      await setTimeout(1100);
      expect([await status('healthz'), await status('readyz')]).toEqual([200, 200]);
    });

    test('a request in flight when the connection breaks is answered 503 too', async () => {
      for (let round = 0; round < 5; round += 1) {
        proxy.dropData();
        const answers = Promise.all([list(), add(), list()]);
        expect(await status('healthz')).toBe(200);
        await proxy.disconnect();
        for (const answer of await answers) expectUnavailable(answer);
        await proxy.restore();
        expect((await list()).statusCode).toBe(200);
      }
    });

    test('a silent database counts as unreachable, and does not delay a stop', async () => {
      const stopping = await startApiProcess(environment);
      const ask = () => stopping.api('contacts', { headers });
      expect([(await list()).statusCode, (await ask()).statusCode]).toEqual([200, 200]);
      proxy.dropData();
      const answers = Promise.all([list(), add(), ask(), ask()]);
      expect((await stopping.api('healthz')).statusCode).toBe(200);
      const ended = stopping.end();
      for (const answer of await answers) expectUnavailable(answer);
      expect(await ended).toBe(0);
      await proxy.restore();
      expect((await list()).statusCode).toBe(200);
      expect(await service.end()).toBe(0);
    });
  },
);
