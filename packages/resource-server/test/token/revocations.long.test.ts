import { afterAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { proves } from '../../../../test/support/proves.ts';
import { REDIS_URL } from '../../../../test/support/redis.ts';
import { revocations } from '../../src/token/revocations.ts';
import { dropSets, prefix, rowsOf, SHARED_SETS } from '../support/stores.ts';

const ISS = 'https://tenant.example.com/';

afterAll(dropSets);

async function keysInRedis(): Promise<number> {
  const client = new Redis(REDIS_URL);
  const keys = await client.keys(`${prefix}revoked *`);
  client.disconnect();
  return keys.length;
}

const [redis, postgres] = SHARED_SETS;

for (const { name, missing, open, count } of [
  { ...redis, count: keysInRedis },
  { ...postgres, count: () => rowsOf("key LIKE 'revoked %'") },
]) {
  (missing ? describe.skip : describe)(
    `the list in ${name}${missing ? `: ${missing}` : ''}`,
    () => {
      test('shrinks to nothing after the longest life of a token', async () => {
        proves('RFC 6750 §5.1 replay');
        const store = open();
        const life = 300;
        // The clock of the list lags, so that the real one of the store is at the end of the entries.
        const end = Date.now() + 3000;
        const start = end - (life + 600) * 1000;
        const revoked = revocations({ store, maxTokenLifetime: life, now: () => start });
        const iat = Math.floor(start / 1000);
        const claims = {
          iss: ISS,
          aud: 'https://api.example.com',
          sub: 'alice',
          jti: 'j1',
          sid: 's1',
        };
        const one = { ...claims, iat, exp: iat + life };
        await Promise.all(
          Array.from({ length: 20 }, (_, i) => [
            revoked.revoke({ ...one, jti: `j${i}` }),
            revoked.revokeSession({ iss: ISS, sid: `s${i}` }),
            revoked.revokeUser({ iss: ISS, sub: `u${i}`, before: iat + 1 }),
          ]).flat(),
        );
        expect(await count()).toBe(60);
        for (const change of [{ jti: 'j7', sid: 'x' }, { sid: 's7', jti: 'x' }, { sub: 'u7' }]) {
          expect(await revoked.isRevoked({ ...one, ...change })).toBe(true);
        }
        await new Promise((resolve) => setTimeout(resolve, end - Date.now() + 1100));
        // A new process removes what has expired, without one more logout.
        const other = open();
        const elsewhere = revocations({ store: other, maxTokenLifetime: life });
        do {
          await elsewhere.isRevoked(one);
          await new Promise((resolve) => setTimeout(resolve, 20));
        } while ((await count()) > 0);
        await Promise.all([store.close(), other.close()]);
      });
    },
  );
}
