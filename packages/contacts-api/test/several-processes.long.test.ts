import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { testKey } from '../../../test/support/test-keys.ts';
import type { Activity, Contact } from '../src/contact.ts';
import {
  type ApiProcess,
  administrator,
  endApiProcesses,
  readAll,
  startApiProcess,
} from './support/api-process.ts';
import { engines } from './support/databases.ts';

const PROCESSES: Record<string, number> = { PostgreSQL: 3, libsql: 2 };
const ROUNDS = 10;

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(endApiProcesses);
afterAll(() => issuer.close());

for (const { name, missing, create } of await engines()) {
  (missing ? test.skip : test)(
    `several processes lose no change, and only one of them changes a named version: ${missing ?? name}`,
    async () => {
      const database = await create();
      const environment = {
        DATABASE_URL: database.url,
        ISSUER_BASE_URL: issuer.issuer,
        LOG_LEVEL: 'silent',
      };
      const headers = administrator(issuer);
      const services = await Promise.all(
        Array.from({ length: PROCESSES[name] ?? 2 }, () => startApiProcess(environment)),
      );
      const [{ api }] = services as [ApiProcess];
      const { body: contact } = await api.post<Contact>('contacts', {
        headers,
        json: { name: 'Ada', email: 'ada@example.com' },
      });
      const path = `contacts/${contact.id}`;
      /** Sends two changes from each process, all at once. */
      const patchFromAll = (round: number, more: Record<string, string> = {}) =>
        Promise.all(
          [...services, ...services].map(async (service, index) => {
            const notes = `${round}.${index}`;
            const { statusCode, body } = await service.api.patch<Contact>(path, {
              headers: { ...headers, ...more },
              json: { notes },
            });
            if (statusCode === 200) expect(body.notes).toBe(notes);
            return { statusCode, version: body.version };
          }),
        );

      const versions = [1];
      for (let round = 0; round < ROUNDS; round += 1) {
        const answers = await patchFromAll(round);
        expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 200));
        versions.push(...answers.map(({ version }) => version));
      }
      for (let round = 0; round < ROUNDS; round += 1) {
        const answers = await patchFromAll(round, { 'If-Match': `"${versions.length}"` });
        expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([
          200,
          ...answers.slice(1).map(() => 412),
        ]);
        versions.push(versions.length + 1);
      }

      expect(versions.sort((a, b) => a - b)).toEqual(versions.map((_, index) => index + 1));
      for (const service of services) {
        const { body } = await service.api<Contact>(path, { headers });
        expect(body.version).toBe(versions.length);
      }
      const activities = await readAll<Activity>(api, 'activity', headers);
      expect(activities.map(({ action }) => action).sort()).toEqual([
        'created',
        ...versions.slice(1).map(() => 'updated'),
      ]);
      expect(await Promise.all(services.map(({ end }) => end()))).toEqual(services.map(() => 0));
      await database.drop();
    },
  );
}
