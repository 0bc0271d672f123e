import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '@koa-oauth/issuer/testing';
import { RequestError } from 'got';
import { testKey } from '../../../test/support/test-keys.ts';
import type { Activity, Contact } from '../src/contact.ts';
import { administrator, endApiProcesses, readAll, startApiProcess } from './support/api-process.ts';
import { engines } from './support/databases.ts';

const IN_FLIGHT = 6;
const KILL_AFTER = 150;

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await startTestIssuer({ keys: [testKey()] });
});
afterEach(endApiProcesses);
afterAll(() => issuer.close());

for (const { name, missing, create } of await engines()) {
  (missing ? test.skip : test)(
    `kill -9 loses no acknowledged contact and no activity: ${missing ?? name}`,
    async () => {
      const database = await create();
      const environment = { DATABASE_URL: database.url, ISSUER_BASE_URL: issuer.issuer };
      const headers = administrator(issuer);
      const service = await startApiProcess(environment);

      const acknowledged: Contact[] = [];
      let sent = 0;
      let ended: Promise<number | null> | undefined;
      const addUntilItBreaks = async () => {
        for (;;) {
          sent += 1;
          const json = { name: `Contact ${sent}`, email: `${sent}@example.com` };
          const { statusCode, body } = await service.api.post<Contact>('contacts', {
            headers,
            json,
          });
          expect([statusCode, body]).toEqual([201, expect.objectContaining(json)]);
          acknowledged.push(body);
          if (acknowledged.length === KILL_AFTER) ended = service.end('SIGKILL');
        }
      };
      const broken = await Promise.allSettled(Array.from({ length: IN_FLIGHT }, addUntilItBreaks));
      for (const { reason } of broken as PromiseRejectedResult[])
        expect(reason).toBeInstanceOf(RequestError);
      expect(await ended).toBeNull();

      const { api, end } = await startApiProcess(environment);
      const stored = await readAll<Contact>(api, 'contacts', headers);
      expect(stored).toEqual(expect.arrayContaining(acknowledged));
      expect(stored.length).toBeLessThanOrEqual(acknowledged.length + IN_FLIGHT);
      const activities = await readAll<Activity>(api, 'activity', headers);
      expect(activities.map(({ action }) => action)).toEqual(stored.map(() => 'created'));
      expect(activities.map(({ contact_id }) => contact_id).sort()).toEqual(
        stored.map(({ id }) => id).sort(),
      );
      expect(await end()).toBe(0);
      await database.drop();
    },
  );
}
