import { Agent } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { startTestIssuer } from '@koa-oauth/issuer/testing';
import got, { type RequestError } from 'got';
import { freePorts } from '../../../test/support/services.ts';
import { testKey } from '../../../test/support/test-keys.ts';
import { administrator, endApiProcesses, startApiProcess } from './support/api-process.ts';
import { type Engine, engines } from './support/databases.ts';
import { isBroken, Load } from './support/load.ts';

const [{ create }] = (await engines()) as [Engine];

afterEach(endApiProcesses);

test('the metrics add up those of all workers, and a killed one is replaced while others serve', async () => {
  const issuer = await startTestIssuer({ keys: [testKey()] });
  const database = await create();
  const [metricsPort] = await freePorts(1);
  const service = await startApiProcess({
    DATABASE_URL: database.url,
    ISSUER_BASE_URL: issuer.issuer,
    WEB_CONCURRENCY: '2',
    METRICS_PORT: String(metricsPort),
  });
  const agent = { http: new Agent({ keepAlive: false }) };
  let asked = 0;
  for (; service.pids().size < 2; asked += 1) await service.api('me', { agent });
  const text = await got(`http://127.0.0.1:${metricsPort}/metrics`).text();
  expect(text).toContain(
    `http_request_duration_seconds_count{method="GET",route="/me",status="401"} ${asked}\n`,
  );

  const [worker] = [...service.pids()] as [number];
  const load = new Load(service, administrator(issuer));
  await load.progress();
  load.mayBreak = true;
  process.kill(worker, 'SIGKILL');
  await load.progress();
  // New connections, until a third process has answered.
  while (service.pids().size < 3)
    await service
      .api('healthz', { agent })
      .catch((error: RequestError) => expect(isBroken(error.code)).toBe(true));
  load.mayBreak = false;
  await load.progress();
  await load.end();
  expect(await service.end()).toBe(0);
  await issuer.close();
  await database.drop();
});
