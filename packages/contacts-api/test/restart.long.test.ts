import { setTimeout as after } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { testKey } from '../../../test/support/test-keys.ts';
import type { Contact } from '../src/contact.ts';
import { administrator, endApiProcesses, readAll, startApiProcess } from './support/api-process.ts';
import { engines } from './support/databases.ts';
import { Load } from './support/load.ts';

const available = await engines();
/** Time of load on all engines together; a soak test sets more. */
const LOAD_SECONDS = Number(process.env.LOAD_SECONDS ?? 6);
const HALF_LOAD_MS = (LOAD_SECONDS * 1000) / available.length / 2;

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(endApiProcesses);
afterAll(() => issuer.close());

for (const { name, missing, create } of available) {
  (missing ? test.skip : test)(
    `a restart under load loses no contact, and gives no wrong answer: ${missing ?? name}`,
    async () => {
      const database = await create();
      const environment = {
        DATABASE_URL: database.url,
        ISSUER_BASE_URL: issuer.issuer,
        WEB_CONCURRENCY: '2',
        LOG_LEVEL: 'silent',
      };
      const headers = administrator(issuer);
      const first = await startApiProcess(environment);
      const load = new Load(first, headers);
      await after(HALF_LOAD_MS);
      load.mayBreak = true;
      expect(await first.end()).toBe(0);
      const second = await startApiProcess({ ...environment, PORT: String(first.port) });
      load.mayBreak = false;
      await load.progress();
      await after(HALF_LOAD_MS);
      await load.end();

      const { acknowledged, unacknowledged, requests, broken } = load;
      const stored = await readAll<Contact>(second.api, 'contacts', headers);
      const lost = new Map(acknowledged);
      for (const { id } of stored) lost.delete(id);
      if (process.env.LOAD_SECONDS)
        process.stdout.write(
          `${name}: ${requests} requests, ${broken} broken, ${acknowledged.size} acknowledged, ${lost.size} lost\n`,
        );
      expect([...lost.values()]).toEqual([]);
      expect(stored.length).toBeLessThanOrEqual(acknowledged.size + unacknowledged);
      expect(await second.end()).toBe(0);
      await database.drop();
    },
    2 * HALF_LOAD_MS + 60_000,
  );
}
